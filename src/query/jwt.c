/*-------------------------------------------------------------------------
 *
 * jwt.c
 *		JSON Web Tokens: are they good, and whom do they name?
 *
 * libjwt verifies signatures, and only that: everything else it does too
 * generously.  It takes the token's word for the algorithm, whatever the key
 * is (an HS256 token "signed" with a public key would pass); checks neither
 * exp nor nbf, and reads one that is no integer as 0; takes the last of
 * duplicate keys; and returns success without having looked at the token
 * where it can't allocate the copy of the key.  So header and payload are
 * decoded and judged here, in this order:
 *
 *	1. three parts of strict base64url; the header a JSON object without
 *	   "crit" (we know no extension), its "alg" one that the settings allow;
 *	2. a key of the kind that this algorithm takes;
 *	3. libjwt says that the signature is good, and names the algorithm that
 *	   we expected (which it doesn't where it lacked memory);
 *	4. the payload a JSON object with a number in exp, in the future; every
 *	   other claim of interest of the right type.  iat may lie in the future:
 *	   clocks differ, and it promises nothing.
 *
 * libjwt isn't linked but loaded, with its own libraries before the server in
 * the order of symbol lookup.  It needs json_object() of libjansson, and
 * PostgreSQL exports an SQL function of that name: the usual way, the first
 * token would crash the server.
 *
 * Nothing that is looked at may be there twice.
 *
 * Whoever presents no good signature so costs one header of parsing and one
 * verification.  libjwt parses a PEM key for every token, 1.5 ms for RSA; a
 * reconnect storm must not pay that again, so good tokens are remembered by
 * their SHA-256 hash until they expire.  The memory of them is cleared on
 * each reload, and when it is full.
 *
 * Keys that can't be used are said in the log once, and tried again from time
 * to time; what they should verify is refused meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dlfcn.h>
#include <jwt.h>
#include <math.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include "common/compat.h"
#include "common/settings.h"
#include "mb/pg_wchar.h"
#include "query/jwt.h"
#include "storage/fd.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "wire/json_fields.h"

/* Bounds on what is parsed. */
#define MAX_TOKEN_LENGTH	(64 * 1024)
#define MAX_FIELDS			7
#define MAX_KEY_FILE		(1024 * 1024)
#define MAX_KEYS			32
#define MIN_RSA_BITS		2048

/* Bounds on what is remembered. */
#define MAX_REMEMBERED		4096
#define MAX_REMEMBERED_ID	128

#define RETRY_KEYS_MS		10000

/* Unix time in which a time of PostgreSQL's surely has room. */
#define MAX_UNIX_TIME		9e12

typedef struct Algorithm
{
	const char *name;
	jwt_alg_t	id;
	int			key_type;		/* EVP_PKEY_NONE: takes the secret */
	int			min_bits;		/* of the key */
	int			max_bits;
} Algorithm;

static const Algorithm algorithms[] = {
	{"HS256", JWT_ALG_HS256, EVP_PKEY_NONE},
	{"HS384", JWT_ALG_HS384, EVP_PKEY_NONE},
	{"HS512", JWT_ALG_HS512, EVP_PKEY_NONE},
	{"RS256", JWT_ALG_RS256, EVP_PKEY_RSA, MIN_RSA_BITS, INT_MAX},
	{"RS384", JWT_ALG_RS384, EVP_PKEY_RSA, MIN_RSA_BITS, INT_MAX},
	{"RS512", JWT_ALG_RS512, EVP_PKEY_RSA, MIN_RSA_BITS, INT_MAX},
	{"ES256", JWT_ALG_ES256, EVP_PKEY_EC, 256, 256},
	{"ES384", JWT_ALG_ES384, EVP_PKEY_EC, 384, 384},
	{"ES512", JWT_ALG_ES512, EVP_PKEY_EC, 521, 521},
};

/*
 * The library
 */

/* Systems without it have two-level symbol names, and don't need it. */
#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif

#define OPEN_FLAGS	(RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND)

/*
 * AddressSanitizer's dlopen() ends the process where it is given
 * RTLD_DEEPBIND, as memory could be allocated by one malloc and freed by the
 * other.  What libjwt allocates it frees itself, so libc's own dlopen() does.
 */
static void *
open_library(void)
{
#ifdef __SANITIZE_ADDRESS__
	void	   *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	void	   *(*real_dlopen) (const char *, int) =
		libc == NULL ? NULL : dlsym(libc, "dlopen");

	if (real_dlopen != NULL)
		return real_dlopen(LIBJWT_SONAME, OPEN_FLAGS);
#endif
	return dlopen(LIBJWT_SONAME, OPEN_FLAGS);
}

static struct
{
	bool		tried;
	int			(*decode) (jwt_t **jwt, const char *token,
						   const unsigned char *key, int length);
	jwt_alg_t	(*get_alg) (jwt_t *jwt);
	void		(*free) (jwt_t *jwt);
}			libjwt;

static bool
load_library(void)
{
	void	   *library;

	if (libjwt.tried)
		return libjwt.free != NULL;
	libjwt.tried = true;
	library = open_library();
	if (library != NULL)
	{
		libjwt.decode = dlsym(library, "jwt_decode");
		libjwt.get_alg = dlsym(library, "jwt_get_alg");
		libjwt.free = dlsym(library, "jwt_free");
	}
	if (libjwt.decode == NULL || libjwt.get_alg == NULL || libjwt.free == NULL)
	{
		libjwt.free = NULL;
		ereport(LOG,
				(errmsg("quizrt refuses all JSON Web Tokens: could not load library \"%s\"",
						LIBJWT_SONAME),
				 errdetail_internal("%s", library == NULL ? dlerror() :
									"It lacks a function.")));
	}
	return libjwt.free != NULL;
}

/*
 * Keys
 */

typedef struct PublicKey
{
	int			type;			/* of EVP_PKEY */
	int			bits;
	char	   *pem;			/* as libjwt takes it */
	int			length;
} PublicKey;

static PublicKey public_keys[MAX_KEYS];
static int	npublic_keys;
static MemoryContext keys_context;

static bool keys_unusable;		/* the file is to be tried again */
static TimestampTz keys_read_at;
static char said[256];			/* what the log was told last */

/* Say what is wrong with the keys (NULL: nothing), once until that changes. */
static void
say(const char *problem)
{
	keys_unusable = problem != NULL;
	if (problem == NULL)
		problem = "";
	else if (strcmp(said, problem) != 0)
		ereport(LOG,
				(errmsg("quizrt refuses tokens signed with a public key: %s",
						problem),
				 errdetail("quizrt.jwt_public_key_file is \"%s\".",
						   quizrt_jwt_public_key_file)));
	strlcpy(said, problem, sizeof(said));
}

/* The file's contents; NULL, and errno, where it can't be read. */
static char *
read_key_file(int *length)
{
	FILE	   *file = AllocateFile(quizrt_jwt_public_key_file, "r");
	char	   *text;
	int			error = 0;

	if (file == NULL)
		return NULL;
	text = MemoryContextAlloc(keys_context, MAX_KEY_FILE + 1);
	*length = (int) fread(text, 1, MAX_KEY_FILE + 1, file);
	if (ferror(file))
		error = errno;
	else if (*length > MAX_KEY_FILE)
		error = EFBIG;
	FreeFile(file);
	if (error == 0)
		return text;
	pfree(text);
	errno = error;
	return NULL;
}

/*
 * Keep a key, written anew as libjwt reads it.  Called while OpenSSL's objects
 * are held, and so doesn't throw.
 */
static bool
keep_key(EVP_PKEY *key)
{
	PublicKey  *place = &public_keys[npublic_keys];
	BIO		   *bio = BIO_new(BIO_s_mem());
	bool		kept = false;
	char	   *pem;
	long		length;

	if (bio != NULL && npublic_keys < MAX_KEYS &&
		PEM_write_bio_PUBKEY(bio, key) == 1 &&
		(length = BIO_get_mem_data(bio, &pem)) > 0)
	{
		place->type = EVP_PKEY_base_id(key);
		place->bits = EVP_PKEY_bits(key);
		place->length = (int) length;
		place->pem = MemoryContextAllocExtended(keys_context, length + 1,
												MCXT_ALLOC_NO_OOM);
		kept = place->pem != NULL;
	}
	if (kept)
	{
		memcpy(place->pem, pem, length);
		place->pem[length] = '\0';
		npublic_keys++;
	}
	BIO_free(bio);
	return kept;
}

/* Keep the key of a PEM block; false where it is none, or can't be kept. */
static bool
keep_block(const char *name, const char *header, const unsigned char *data,
		   long length)
{
	EVP_PKEY   *key;
	bool		kept;

	/* A header means that the block is encrypted. */
	if (strcmp(name, PEM_STRING_PUBLIC) != 0 || header[0] != '\0')
		return false;
	key = d2i_PUBKEY(NULL, &data, length);
	kept = key != NULL && keep_key(key);
	EVP_PKEY_free(key);
	return kept;
}

/* Read the PEM blocks.  Returns what is wrong with them, or NULL. */
static const char *
parse_keys(const char *text, int length)
{
	BIO		   *bio;
	char	   *name;
	char	   *header;
	unsigned char *data;
	long		size;
	bool		good = true;
	unsigned long error;

	ERR_clear_error();
	bio = BIO_new_mem_buf(text, length);
	if (bio == NULL)
		return "out of memory";
	while (good && PEM_read_bio(bio, &name, &header, &data, &size))
	{
		good = keep_block(name, header, data, size);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(data);
	}
	BIO_free(bio);
	error = ERR_peek_last_error();
	ERR_clear_error();

	if (!good || ERR_GET_LIB(error) != ERR_LIB_PEM ||
		ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
		return "the file must hold PEM public keys, and nothing else in PEM format";
	if (npublic_keys == 0)
		return "the file has no PEM public key";
	return NULL;
}

static void
read_keys(void)
{
	const char *problem;
	char	   *text;
	int			length;

	keys_read_at = GetCurrentTimestamp();
	MemoryContextReset(keys_context);
	npublic_keys = 0;
	if (quizrt_jwt_public_key_file[0] == '\0')
	{
		say(NULL);
		return;
	}

	text = read_key_file(&length);
	if (text == NULL)
		problem = psprintf("could not read the file: %m");
	else
	{
		problem = parse_keys(text, length);
		pfree(text);
	}

	/* All or none: half of a file is no way to rotate keys. */
	if (problem != NULL)
		npublic_keys = 0;
	say(problem);
}

/* A key in the file that no algorithm takes would otherwise be a riddle. */
static void
warn_of_useless_keys(void)
{
	for (int i = 0; i < npublic_keys; i++)
	{
		bool		useful = false;

		for (int j = 0; j < lengthof(algorithms); j++)
			useful |= algorithms[j].key_type == public_keys[i].type &&
				algorithms[j].min_bits <= public_keys[i].bits &&
				algorithms[j].max_bits >= public_keys[i].bits;
		if (!useful)
			ereport(LOG,
					(errmsg("quizrt does not use key %d of \"%s\"", i + 1,
							quizrt_jwt_public_key_file),
					 errdetail("RSA keys of at least %d bits and EC keys on P-256, P-384 and P-521 are used.",
							   MIN_RSA_BITS)));
	}
}

/* Whoever puts a public key into the secret has confused the two. */
static bool
secret_is_usable(void)
{
	return quizrt_jwt_secret[0] != '\0' &&
		strstr(quizrt_jwt_secret, "-----BEGIN") == NULL;
}

/*
 * Verified tokens
 */

typedef struct Remembered
{
	uint8		hash[SHA256_DIGEST_LENGTH];
	TimestampTz expires_at;
	bool		has_owner;
	bool		has_tenant;
	char		owner[MAX_REMEMBERED_ID];
	char		tenant[MAX_REMEMBERED_ID];
} Remembered;

static HTAB *remembered;
static MemoryContext remembered_context;

static void
forget_all(void)
{
	HASHCTL		control = {0};

	MemoryContextReset(remembered_context);
	control.keysize = SHA256_DIGEST_LENGTH;
	control.entrysize = sizeof(Remembered);
	control.hcxt = remembered_context;
	remembered = hash_create("quizrt verified tokens", 256, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static bool
recall(const uint8 *hash, JwtClaims *claims)
{
	Remembered *entry = hash_search(remembered, hash, HASH_FIND, NULL);

	if (entry == NULL)
		return false;
	if (entry->expires_at <= GetCurrentTimestamp())
	{
		hash_search(remembered, hash, HASH_REMOVE, NULL);
		return false;
	}
	claims->owner = entry->has_owner ? pstrdup(entry->owner) : NULL;
	claims->tenant = entry->has_tenant ? pstrdup(entry->tenant) : NULL;
	claims->expires_at = entry->expires_at;
	return true;
}

static bool
is_short(const char *id)
{
	return id == NULL || strlen(id) < MAX_REMEMBERED_ID;
}

static void
remember(const uint8 *hash, const JwtClaims *claims)
{
	Remembered *entry;
	bool		found;

	if (!is_short(claims->owner) || !is_short(claims->tenant))
		return;
	if (hash_get_num_entries(remembered) >= MAX_REMEMBERED)
		forget_all();
	entry = hash_search(remembered, hash, HASH_ENTER, &found);
	entry->expires_at = claims->expires_at;
	entry->has_owner = claims->owner != NULL;
	entry->has_tenant = claims->tenant != NULL;
	strlcpy(entry->owner, claims->owner ? claims->owner : "",
			MAX_REMEMBERED_ID);
	strlcpy(entry->tenant, claims->tenant ? claims->tenant : "",
			MAX_REMEMBERED_ID);
}

void
JwtReload(void)
{
	if (keys_context == NULL)
	{
		keys_context = AllocSetContextCreate(TopMemoryContext,
											 "quizrt public keys",
											 ALLOCSET_SMALL_SIZES);
		remembered_context = AllocSetContextCreate(TopMemoryContext,
												   "quizrt verified tokens",
												   ALLOCSET_DEFAULT_SIZES);
	}
	forget_all();
	said[0] = '\0';				/* who reloads wants to know again */
	read_keys();
	warn_of_useless_keys();
}

/*
 * The parts of a token
 */

static int
base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	if (c == '_')
		return 63;
	return -1;
}

/*
 * Decode base64url as RFC 7515 has it: no padding, no other character, no
 * stray bits.  Returns NULL for anything else.
 */
static char *
decode_part(const char *text, int length, int *decoded)
{
	char	   *bytes = palloc(length + 1);
	uint32		bits = 0;
	int			nbits = 0;

	*decoded = 0;
	for (int i = 0; i < length; i++)
	{
		int			value = base64url_value(text[i]);

		if (value < 0)
			return NULL;
		bits = (bits << 6) | value;
		nbits += 6;
		if (nbits >= 8)
		{
			nbits -= 8;
			bytes[(*decoded)++] = (char) (bits >> nbits);
			bits &= (1 << nbits) - 1;
		}
	}
	bytes[*decoded] = '\0';
	return length == 0 || nbits == 6 || bits != 0 ? NULL : bytes;
}

/* The fields of interest of one part of a token. */
typedef struct Fields
{
	JsonField	fields[MAX_FIELDS];
	int			count;
} Fields;

/* Ask for a field; two may have one name where the settings say so. */
static JsonField *
want(Fields *fields, const char *name)
{
	JsonField  *field;

	for (int i = 0; i < fields->count; i++)
	{
		if (strcmp(fields->fields[i].name, name) == 0)
			return &fields->fields[i];
	}
	Assert(fields->count < MAX_FIELDS);
	field = &fields->fields[fields->count++];
	memset(field, 0, sizeof(*field));
	field->name = name;
	return field;
}

/*
 * Decode a part and read the fields that were asked for.  False where it is
 * no JSON object, or has one of them twice: other readers might take another
 * one than we do.
 */
static bool
read_part(const char *text, int length, Fields *fields)
{
	JsonField	whole = {0};
	int			decoded;
	char	   *json = decode_part(text, length, &decoded);

	if (json == NULL || !pg_verify_mbstr(PG_UTF8, json, decoded, true) ||
		JsonFieldsRead(json, decoded, &whole, fields->fields,
					   fields->count) != JSON_FIELDS_OK ||
		whole.kind != JSON_KIND_OBJECT)
		return false;
	for (int i = 0; i < fields->count; i++)
	{
		if (fields->fields[i].times > 1)
			return false;
	}
	return true;
}

/*
 * Header and signature
 */

static const Algorithm *
find_algorithm(const JsonField *alg)
{
	if (alg->kind != JSON_KIND_STRING)
		return NULL;
	for (int i = 0; i < lengthof(algorithms); i++)
	{
		if (strcmp(alg->string, algorithms[i].name) == 0 &&
			SettingListHas(quizrt_jwt_algorithms, alg->string))
			return &algorithms[i];
	}
	return NULL;
}

/* The algorithm of an acceptable header, or NULL. */
static const Algorithm *
judge_header(const char *text, int length)
{
	Fields		header = {0};
	JsonField  *alg = want(&header, "alg");
	JsonField  *typ = want(&header, "typ");
	JsonField  *crit = want(&header, "crit");

	if (!read_part(text, length, &header) || crit->kind != JSON_KIND_ABSENT)
		return NULL;
	if (typ->kind != JSON_KIND_ABSENT &&
		(typ->kind != JSON_KIND_STRING ||
		 pg_strcasecmp(typ->string, "JWT") != 0))
		return NULL;
	return find_algorithm(alg);
}

/* The one place where libjwt is asked. */
static bool
verify_with(const char *token, const Algorithm *algorithm, const char *key,
			int length)
{
	jwt_t	   *jwt = NULL;
	bool		good;

	if (!load_library())
		return false;
	ERR_clear_error();
	good = libjwt.decode(&jwt, token, (const unsigned char *) key,
						 length) == 0 &&
		jwt != NULL && libjwt.get_alg(jwt) == algorithm->id;
	if (jwt != NULL)
		libjwt.free(jwt);
	ERR_clear_error();
	return good;
}

static bool
has_good_signature(const char *token, const Algorithm *algorithm)
{
	if (algorithm->key_type == EVP_PKEY_NONE)
		return secret_is_usable() &&
			verify_with(token, algorithm, quizrt_jwt_secret,
						(int) strlen(quizrt_jwt_secret));

	if (keys_unusable &&
		TimestampDifferenceExceeds(keys_read_at, GetCurrentTimestamp(),
								   RETRY_KEYS_MS))
		read_keys();
	for (int i = 0; i < npublic_keys; i++)
	{
		const PublicKey *key = &public_keys[i];

		if (key->type == algorithm->key_type &&
			key->bits >= algorithm->min_bits &&
			key->bits <= algorithm->max_bits &&
			verify_with(token, algorithm, key->pem, key->length))
			return true;
	}
	return false;
}

/*
 * Payload
 */

/* A claim that is a time; false where it is something else. */
static bool
get_time(const JsonField *claim, TimestampTz *time)
{
	double		seconds;

	if (claim->kind != JSON_KIND_NUMBER)
		return false;
	seconds = strtod(claim->string, NULL);
	if (isnan(seconds) || seconds < 0)
		return false;
	seconds = Min(seconds, MAX_UNIX_TIME) -
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (double) SECS_PER_DAY;
	*time = (TimestampTz) (seconds * USECS_PER_SEC);
	return true;
}

/* The payload's fields; all are JSON_KIND_ABSENT where the token lacks them. */
typedef struct Payload
{
	Fields		fields;
	JsonField  *exp;
	JsonField  *nbf;
	JsonField  *iat;
	JsonField  *iss;
	JsonField  *aud;
	JsonField  *owner;
	JsonField  *tenant;
} Payload;

static bool
judge_times(const Payload *payload, TimestampTz *expires_at)
{
	TimestampTz leeway = (TimestampTz) quizrt_jwt_leeway * USECS_PER_SEC;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz time;

	if (!get_time(payload->exp, expires_at))
		return false;
	*expires_at += leeway;
	if (now >= *expires_at)
		return false;
	if (payload->nbf->kind != JSON_KIND_ABSENT &&
		(!get_time(payload->nbf, &time) || now + leeway < time))
		return false;
	return payload->iat->kind == JSON_KIND_ABSENT ||
		get_time(payload->iat, &time);
}

static bool
judge_issuer(const JsonField *iss)
{
	if (iss->kind == JSON_KIND_STRING)
		return quizrt_jwt_issuer[0] == '\0' ||
			strcmp(iss->string, quizrt_jwt_issuer) == 0;
	return iss->kind == JSON_KIND_ABSENT && quizrt_jwt_issuer[0] == '\0';
}

static bool
judge_audience(const JsonField *aud)
{
	if (aud->kind != JSON_KIND_ABSENT && aud->kind != JSON_KIND_STRING &&
		aud->kind != JSON_KIND_STRINGS)
		return false;
	if (quizrt_jwt_audience[0] == '\0')
		return true;
	if (aud->kind == JSON_KIND_STRING)
		return strcmp(aud->string, quizrt_jwt_audience) == 0;
	for (int i = 0; i < aud->nstrings; i++)
	{
		if (strcmp(aud->strings[i], quizrt_jwt_audience) == 0)
			return true;
	}
	return false;
}

/*
 * A claim that names somebody: a string that is not empty, or an integer.
 * *id stays NULL where there is none; false where it is something else.
 */
static bool
get_id(const JsonField *claim, char **id)
{
	*id = NULL;
	switch (claim->kind)
	{
		case JSON_KIND_ABSENT:
			return true;
		case JSON_KIND_NUMBER:
			if (strpbrk(claim->string, ".eE") != NULL)
				return false;
			break;
		case JSON_KIND_STRING:
			if (claim->string[0] == '\0')
				return false;
			break;
		default:
			return false;
	}
	*id = claim->string;
	return true;
}

/* The tenant is the dashboard's alone: what else is there names no tenant. */
static bool
judge_payload(const char *text, int length, JwtClaims *claims)
{
	Payload		payload = {{{{0}}}};

	payload.exp = want(&payload.fields, "exp");
	payload.nbf = want(&payload.fields, "nbf");
	payload.iat = want(&payload.fields, "iat");
	payload.iss = want(&payload.fields, "iss");
	payload.aud = want(&payload.fields, "aud");
	payload.owner = want(&payload.fields, quizrt_jwt_owner_claim);
	payload.tenant = want(&payload.fields, quizrt_jwt_tenant_claim);
	if (!read_part(text, length, &payload.fields) ||
		!judge_times(&payload, &claims->expires_at) ||
		!judge_issuer(payload.iss) || !judge_audience(payload.aud) ||
		!get_id(payload.owner, &claims->owner))
		return false;
	(void) get_id(payload.tenant, &claims->tenant);
	return true;
}

/* Verify a token that isn't remembered; it is terminated. */
static bool
verify(const char *token, JwtClaims *claims)
{
	const char *first = strchr(token, '.');
	const char *second = first != NULL ? strchr(first + 1, '.') : NULL;
	const Algorithm *algorithm;
	int			length;

	if (second == NULL || strchr(second + 1, '.') != NULL)
		return false;
	algorithm = judge_header(token, first - token);
	if (algorithm == NULL ||
		decode_part(second + 1, strlen(second + 1), &length) == NULL ||
		!has_good_signature(token, algorithm))
		return false;
	return judge_payload(first + 1, second - first - 1, claims);
}

bool
JwtVerify(const char *token, Size length, JwtClaims *claims)
{
	uint8		hash[SHA256_DIGEST_LENGTH];
	char	   *copy;
	bool		good;

	memset(claims, 0, sizeof(*claims));
	if (length == 0 || length > MAX_TOKEN_LENGTH ||
		memchr(token, '\0', length) != NULL)
		return false;
	SHA256((const unsigned char *) token, length, hash);
	if (recall(hash, claims))
		return true;

	copy = pnstrdup(token, length);
	good = verify(copy, claims);
	explicit_bzero(copy, length);
	pfree(copy);
	if (good)
		remember(hash, claims);
	return good;
}
