# quizrt: built with PGXS against the PostgreSQL that PG_CONFIG names.
#
# "make" and "make install" are all that an existing server needs; the
# scripts in dev/ use nothing else.

MODULE_big = quizrt
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

EXTENSION = quizrt
DATA_built = sql/quizrt--1.0.sql
SQL_PARTS = $(sort $(wildcard sql/[0-9]*.sql))

EXTRA_CLEAN = $(OBJS:.o=.d) $(DATA_built)

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -std=gnu99 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-declaration-after-statement \
	-MMD -MP $(EXTRA_CFLAGS)
SHLIB_LINK = -lwslay -lssl -lcrypto -lz $(EXTRA_LDFLAGS)

# libjwt is loaded at run time (src/query/jwt.c says why), by the name that the
# one we build against has.
LIBJWT_SONAME := $(shell objdump -p "`$(CC) -print-file-name=libjwt.so`" \
	2>/dev/null | awk '$$1 == "SONAME" {print $$2}')
PG_CPPFLAGS += -DLIBJWT_SONAME='"$(or $(LIBJWT_SONAME),libjwt.so)"'

# Nothing of ours is worth inlining into a query; spares the build clang.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# The extension's script is kept in parts, one for each subject.
sql/quizrt--1.0.sql: $(SQL_PARTS)
	cat $^ > $@

-include $(OBJS:.o=.d)
