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
 *	   duplicate keys, without "crit" (we know no extension), its "alg" one
 *	   that the settings allow;
 *	2. a key of the kind that this algorithm takes;
 *	3. libjwt says that the signature is good, and names the algorithm that
 *	   we expected (which it doesn't where it lacked memory);
 *	4. the payload a JSON object without duplicate keys, with a number in
 *	   exp, in the future; every other claim of interest of the right type.
 *	   iat may lie in the future: clocks differ, and it promises nothing.
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

/* Bounds on what is parsed. */
#define MAX_TOKEN_LENGTH	(64 * 1024)
#define MAX_DEPTH			32
#define MAX_FIELDS			256
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
static const char *said;		/* the last complaint; a constant */

/* Say what is wrong with the keys, once until that changes. */
static void
say(const char *problem)
{
	if (said != problem && problem != NULL)
		ereport(LOG,
				(errmsg("quizrt refuses tokens signed with a public key: %s",
						problem),
				 errdetail("quizrt.jwt_public_key_file is \"%s\".",
						   quizrt_jwt_public_key_file)));
	said = problem;
	keys_unusable = problem != NULL;
}

/* The file's contents; NULL where it can't be read. */
static char *
read_key_file(int *length)
{
	FILE	   *file = AllocateFile(quizrt_jwt_public_key_file, "r");
	char	   *text;

	if (file == NULL)
		return NULL;
	text = MemoryContextAllocHuge(keys_context, MAX_KEY_FILE + 1);
	*length = (int) fread(text, 1, MAX_KEY_FILE + 1, file);
	if (ferror(file) || *length > MAX_KEY_FILE)
	{
		pfree(text);
		text = NULL;
	}
	FreeFile(file);
	return text;
}

/* An encrypted PEM block must not make OpenSSL ask the terminal. */
static int
no_passphrase(char *buffer, int size, int writing, void *arg)
{
	return 0;
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

/* Read the PEM blocks.  Returns what is wrong with them, or NULL. */
static const char *
parse_keys(const char *text, int length)
{
	BIO		   *bio;
	EVP_PKEY   *key;
	bool		kept = true;
	unsigned long error;

	ERR_clear_error();
	bio = BIO_new_mem_buf(text, length);
	if (bio == NULL)
		return "out of memory";
	while (kept &&
		   (key = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL)) != NULL)
	{
		kept = keep_key(key);
		EVP_PKEY_free(key);
	}
	BIO_free(bio);
	error = ERR_peek_last_error();
	ERR_clear_error();

	if (!kept)
		return "there are too many keys in the file";
	if (ERR_GET_LIB(error) != ERR_LIB_PEM ||
		ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
		return "the file has an invalid key";
	if (npublic_keys == 0)
		return "the file has no PEM public key";
	return NULL;
}

static void
read_keys(void)
{
	const char *problem = "the file cannot be read";
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
	if (text != NULL)
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
	read_keys();
	warn_of_useless_keys();
}

/*
 * JSON objects
 */

/* A member of the object; of nested values only what "aud" needs is kept. */
typedef struct Field
{
	const char *name;
	JsonTokenType type;			/* of the value; OBJECT_START, ARRAY_START */
	const char *value;			/* of a scalar */
	List	   *elements;		/* of an array: its strings */
	bool		only_strings;
} Field;

typedef struct Object
{
	Field		fields[MAX_FIELDS];
	int			count;
	int			depth;
	bool		refused;		/* no object, duplicates, or too many fields */
} Object;

static Field *
last_field(Object *object)
{
	return &object->fields[object->count - 1];
}

static const Field *
find_field(const Object *object, const char *name)
{
	for (int i = 0; i < object->count; i++)
	{
		if (strcmp(object->fields[i].name, name) == 0)
			return &object->fields[i];
	}
	return NULL;
}

/* A value begins: take note of it where it is a field's, or an element. */
static void
note_value(Object *object, JsonTokenType type, const char *value)
{
	Field	   *field;

	if (object->depth == 0 && type != JSON_TOKEN_OBJECT_START)
		object->refused = true;
	if (object->refused || object->depth == 0 || object->depth > 2)
		return;

	field = last_field(object);
	if (object->depth == 1)
	{
		field->type = type;
		field->value = value;
		field->only_strings = true;
	}
	else if (field->type == JSON_TOKEN_ARRAY_START)
	{
		if (type == JSON_TOKEN_STRING)
			field->elements = lappend(field->elements, (void *) value);
		else
			field->only_strings = false;
	}
}

static JsonActionResult
object_start(void *state)
{
	note_value(state, JSON_TOKEN_OBJECT_START, NULL);
	((Object *) state)->depth++;
	JSON_ACTION_RETURN(JSON_SUCCESS);
}

static JsonActionResult
array_start(void *state)
{
	note_value(state, JSON_TOKEN_ARRAY_START, NULL);
	((Object *) state)->depth++;
	JSON_ACTION_RETURN(JSON_SUCCESS);
}

static JsonActionResult
container_end(void *state)
{
	((Object *) state)->depth--;
	JSON_ACTION_RETURN(JSON_SUCCESS);
}

static JsonActionResult
field_start(void *state, char *name, bool isnull)
{
	Object	   *object = state;

	if (object->depth == 1 && !object->refused)
	{
		if (object->count == MAX_FIELDS || find_field(object, name) != NULL)
			object->refused = true;
		else
			object->fields[object->count++].name = name;
	}
	JSON_ACTION_RETURN(JSON_SUCCESS);
}

static JsonActionResult
scalar(void *state, char *token, JsonTokenType type)
{
	note_value(state, type, token);
	JSON_ACTION_RETURN(JSON_SUCCESS);
}

/*
 * Is it nested so little that parsing it can't run out of stack (which would
 * be an error, where a refusal is called for)?
 */
static bool
is_shallow(const char *json, int length)
{
	bool		in_string = false;
	int			depth = 0;

	for (int i = 0; i < length; i++)
	{
		char		c = json[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '[' || c == '{') && ++depth > MAX_DEPTH)
			return false;
		else if (!in_string && (c == ']' || c == '}'))
			depth--;
	}
	return true;
}

static Object *
parse_object(const char *json, int length)
{
	Object	   *object = palloc0(sizeof(Object));
	JsonSemAction actions = {0};
	JsonLexContext *lexer;

	if (!pg_verify_mbstr(PG_UTF8, json, length, true) ||
		!is_shallow(json, length))
		return NULL;
	actions.semstate = object;
	actions.object_start = object_start;
	actions.object_end = container_end;
	actions.array_start = array_start;
	actions.array_end = container_end;
	actions.object_field_start = field_start;
	actions.scalar = scalar;
	lexer = compat_json_lexer(json, length, true);
	if (pg_parse_json(lexer, &actions) != JSON_SUCCESS || object->refused)
		return NULL;
	return object;
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

static Object *
parse_part(const char *text, int length)
{
	int			decoded;
	char	   *json = decode_part(text, length, &decoded);

	return json != NULL ? parse_object(json, decoded) : NULL;
}

/*
 * Header and signature
 */

static const Algorithm *
find_algorithm(const Object *header)
{
	const Field *alg = find_field(header, "alg");

	if (alg == NULL || alg->type != JSON_TOKEN_STRING)
		return NULL;
	for (int i = 0; i < lengthof(algorithms); i++)
	{
		if (strcmp(alg->value, algorithms[i].name) == 0 &&
			SettingListHas(quizrt_jwt_algorithms, alg->value))
			return &algorithms[i];
	}
	return NULL;
}

/* The algorithm of an acceptable header, or NULL. */
static const Algorithm *
judge_header(const Object *header)
{
	const Field *typ;

	if (header == NULL || find_field(header, "crit") != NULL)
		return NULL;
	typ = find_field(header, "typ");
	if (typ != NULL && (typ->type != JSON_TOKEN_STRING ||
						pg_strcasecmp(typ->value, "JWT") != 0))
		return NULL;
	return find_algorithm(header);
}

/* The one place where libjwt is asked. */
static bool
verify_with(const char *token, const Algorithm *algorithm, const char *key,
			int length)
{
	jwt_t	   *jwt = NULL;
	bool		good;

	ERR_clear_error();
	good = jwt_decode(&jwt, token, (const unsigned char *) key, length) == 0 &&
		jwt != NULL && jwt_get_alg(jwt) == algorithm->id;
	jwt_free(jwt);
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
get_time(const Field *claim, TimestampTz *time)
{
	double		seconds;

	if (claim->type != JSON_TOKEN_NUMBER)
		return false;
	seconds = strtod(claim->value, NULL);
	if (isnan(seconds) || seconds < 0)
		return false;
	seconds = Min(seconds, MAX_UNIX_TIME) -
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (double) SECS_PER_DAY;
	*time = (TimestampTz) (seconds * USECS_PER_SEC);
	return true;
}

static bool
judge_times(const Object *payload, TimestampTz *expires_at)
{
	const Field *exp = find_field(payload, "exp");
	const Field *nbf = find_field(payload, "nbf");
	const Field *iat = find_field(payload, "iat");
	TimestampTz leeway = (TimestampTz) quizrt_jwt_leeway * USECS_PER_SEC;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz time;

	if (exp == NULL || !get_time(exp, expires_at))
		return false;
	*expires_at += leeway;
	if (now >= *expires_at)
		return false;
	if (nbf != NULL && (!get_time(nbf, &time) || now + leeway < time))
		return false;
	return iat == NULL || get_time(iat, &time);
}

static bool
judge_issuer(const Object *payload)
{
	const Field *iss = find_field(payload, "iss");

	if (iss != NULL && iss->type != JSON_TOKEN_STRING)
		return false;
	return quizrt_jwt_issuer[0] == '\0' ||
		(iss != NULL && strcmp(iss->value, quizrt_jwt_issuer) == 0);
}

static bool
names_audience(const Field *aud)
{
	ListCell   *cell;

	if (aud->type == JSON_TOKEN_STRING)
		return strcmp(aud->value, quizrt_jwt_audience) == 0;
	foreach(cell, aud->elements)
	{
		if (strcmp(lfirst(cell), quizrt_jwt_audience) == 0)
			return true;
	}
	return false;
}

static bool
judge_audience(const Object *payload)
{
	const Field *aud = find_field(payload, "aud");

	if (aud != NULL && aud->type != JSON_TOKEN_STRING &&
		!(aud->type == JSON_TOKEN_ARRAY_START && aud->only_strings))
		return false;
	return quizrt_jwt_audience[0] == '\0' ||
		(aud != NULL && names_audience(aud));
}

/*
 * A claim that names somebody: a string that is not empty, or an integer.
 * *id stays NULL where there is none; false where it is something else.
 */
static bool
get_id(const Object *payload, const char *name, char **id)
{
	const Field *claim = find_field(payload, name);

	*id = NULL;
	if (claim == NULL)
		return true;
	if (claim->type == JSON_TOKEN_NUMBER)
	{
		if (strspn(claim->value, "-0123456789") != strlen(claim->value))
			return false;
	}
	else if (claim->type != JSON_TOKEN_STRING || claim->value[0] == '\0')
		return false;
	*id = pstrdup(claim->value);
	return true;
}

/* The tenant is the dashboard's alone: what else is there names no tenant. */
static bool
judge_payload(const Object *payload, JwtClaims *claims)
{
	if (payload == NULL || !judge_times(payload, &claims->expires_at) ||
		!judge_issuer(payload) || !judge_audience(payload) ||
		!get_id(payload, quizrt_jwt_owner_claim, &claims->owner))
		return false;
	(void) get_id(payload, quizrt_jwt_tenant_claim, &claims->tenant);
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
	algorithm = judge_header(parse_part(token, first - token));
	if (algorithm == NULL ||
		decode_part(second + 1, strlen(second + 1), &length) == NULL ||
		!has_good_signature(token, algorithm))
		return false;
	return judge_payload(parse_part(first + 1, second - first - 1), claims);
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
