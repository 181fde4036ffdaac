# What test/unit and test/fuzz have in common: building the code that needs no
# server, with -DFRONTEND and libpgcommon.  The including file sets "build",
# "top", and "modes" (more flags).

PG_CONFIG ?= pg_config
CFLAGS ?= -O1 -g

flags = -std=gnu99 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -DFRONTEND -DUSE_ASSERT_CHECKING=1 \
	-I$(top)/src -I$(top)/test/unit \
	-I$(shell $(PG_CONFIG) --includedir-server) -MMD -MP $(modes)
libraries = -L$(shell $(PG_CONFIG) --pkglibdir) \
	-L$(shell $(PG_CONFIG) --libdir) \
	-lpgcommon -lpgport -lwslay -lcrypto -lz -lm

code = $(patsubst $(top)/src/%.c,%,$(wildcard $(top)/src/wire/*.c)) bus/event \
	common/netaddress
code_objects = $(addprefix $(build)/,$(addsuffix .o,$(code)))

$(build)/%.o: $(top)/src/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(flags) -c -o $@ $<

$(build)/%.o: $(top)/test/unit/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(flags) -c -o $@ $<

clean:
	rm -rf $(build)

-include $(wildcard $(build)/*.d $(build)/*/*.d)

.PHONY: clean
.SECONDARY:
