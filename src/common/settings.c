/*-------------------------------------------------------------------------
 *
 * settings.c
 *		All quizrt.* settings, in one place.
 *
 * A check hook judges its own value only: what depends on other settings or
 * on the world outside (a port in use, an unreadable key) is found by the
 * process that needs it, said once in the log, and tried again.  A setting
 * takes effect on reload unless shared memory or the number of processes
 * depends on it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <openssl/ssl.h>

#include "common/compat.h"
#include "common/netaddress.h"
#include "common/settings.h"

char	   *quizrt_database;
char	   *quizrt_role;
int			quizrt_gateways = 1;
int			quizrt_query_workers = 1;
char	   *quizrt_listen_addresses;
int			quizrt_port = 7878;
char	   *quizrt_unix_socket_directories;
char	   *quizrt_allowed_origins;
char	   *quizrt_tls_cert_file;
char	   *quizrt_tls_key_file;
int			quizrt_tls_min_protocol = TLS1_2_VERSION;
bool		quizrt_deflate = true;
char	   *quizrt_echo_path;
char	   *quizrt_trusted_proxies;
bool		quizrt_proxy_protocol = false;
int			quizrt_max_connections = 10000;
int			quizrt_max_connections_per_address = 0;
int			quizrt_max_handshakes = 10000;
int			quizrt_max_subscriptions = 100;
int			quizrt_max_request_head = 8192;
int			quizrt_max_message_size = 65536;
int			quizrt_max_queue_size = 1048576;
int			quizrt_max_error_rate = 10;
int			quizrt_request_timeout = 10000;
int			quizrt_send_timeout = 30000;
int			quizrt_close_timeout = 3000;
int			quizrt_shutdown_timeout = 2000;
int			quizrt_ring_size = 16384;
int			quizrt_max_event_size = 262144;
int			quizrt_max_questions = 1024;
int			quizrt_query_timeout = 5000;
char	   *quizrt_jwt_algorithms;
const char *quizrt_jwt_secret = "";
static char *jwt_secret_shown;
char	   *quizrt_jwt_public_key_file;
char	   *quizrt_jwt_owner_claim;
char	   *quizrt_jwt_tenant_claim;
char	   *quizrt_jwt_issuer;
char	   *quizrt_jwt_audience;
int			quizrt_jwt_leeway = 0;
bool		quizrt_enforce_expiry = false;
bool		quizrt_publish_changes = true;
int			quizrt_ping_interval = 5000;
int			quizrt_pong_timeout = 10000;
int			quizrt_closed_attempt_timeout = 60000;
int			quizrt_leaderboard_interval = 250;
int			quizrt_leaderboard_size = 100;
bool		quizrt_dashboard_enabled = true;
int			quizrt_dashboard_heartbeat = 30000;
bool		quizrt_dashboard_multi_tenant = false;
int			quizrt_dashboard_auth_timeout = 5000;
bool		quizrt_security_api_key_enabled = true;
int			quizrt_security_ping_interval = 30000;
int			quizrt_security_idle_timeout = 300000;
int			quizrt_security_rate_limit = 60;
int			quizrt_system_status_interval = 5000;

static const struct config_enum_entry tls_protocols[] = {
	{"TLSv1.2", TLS1_2_VERSION, false},
	{"TLSv1.3", TLS1_3_VERSION, false},
	{NULL, 0, false}
};

/* The signature algorithms that the credential check knows. */
static const char *const known_algorithms =
"HS256,HS384,HS512,RS256,RS384,RS512,ES256,ES384,ES512";

/*
 * Copy the next word of a comma-separated list into "word", blanks trimmed;
 * returns where to go on, or NULL at the end.  A word too long for the buffer
 * comes back truncated, which equals no known word.
 */
static const char *
next_word(const char *list, char *word, size_t size)
{
	const char *end;
	size_t		len;

	while (*list == ' ' || *list == '\t' || *list == ',')
		list++;
	if (*list == '\0')
		return NULL;
	end = list + strcspn(list, ",");
	len = end - list;
	while (len > 0 && (list[len - 1] == ' ' || list[len - 1] == '\t'))
		len--;
	strlcpy(word, list, Min(size, len + 1));
	return end;
}

bool
SettingListHas(const char *list, const char *word)
{
	char		buffer[512];

	while ((list = next_word(list, buffer, sizeof(buffer))) != NULL)
	{
		if (pg_strcasecmp(buffer, word) == 0)
			return true;
	}
	return false;
}

static bool
check_algorithms(char **newval, void **extra, GucSource source)
{
	const char *list = *newval;
	char		word[32];

	while ((list = next_word(list, word, sizeof(word))) != NULL)
	{
		if (!SettingListHas(known_algorithms, word))
		{
			GUC_check_errdetail("Unknown algorithm \"%s\".", word);
			GUC_check_errhint("Known are %s.", known_algorithms);
			return false;
		}
	}
	return true;
}

static bool
check_claim(char **newval, void **extra, GucSource source)
{
	if ((*newval)[0] == '\0')
	{
		GUC_check_errdetail("A claim needs a name.");
		return false;
	}
	return true;
}

static bool
check_addresses(char **newval, void **extra, GucSource source)
{
	if (!NetAddressListValid(*newval))
	{
		GUC_check_errdetail("The list is of IP addresses, networks like \"10.0.0.0/8\", and \"local\".");
		return false;
	}
	return true;
}

static bool
check_path(char **newval, void **extra, GucSource source)
{
	if ((*newval)[0] != '\0' && (*newval)[0] != '/')
	{
		GUC_check_errdetail("A path begins with \"/\".");
		return false;
	}
	return true;
}

static char *
guc_copy(const char *text)
{
	char	   *copy = compat_guc_malloc(strlen(text) + 1);

	if (copy != NULL)
		strcpy(copy, text);
	return copy;
}

/*
 * A secret is kept apart from the variable, which always reads the same.  So
 * it is shown to nobody, and a reload, which logs every variable that has
 * changed with its new value, has nothing to log.
 */
#define SECRET_SHOWN	"********"

static bool
check_secret(char **newval, void **extra, GucSource source)
{
	char	   *secret = guc_copy(*newval);
	char	   *shown = guc_copy(SECRET_SHOWN);

	if (secret == NULL || shown == NULL)
		return false;

	/* What is shown may come back, from a session's settings say. */
	if (strcmp(*newval, SECRET_SHOWN) == 0)
		secret[0] = '\0';
	compat_guc_free(*newval);
	*newval = shown;
	*extra = secret;
	return true;
}

static void
assign_jwt_secret(const char *newval, void *extra)
{
	quizrt_jwt_secret = extra;
}

static void
define_int(const char *name, const char *what, int *variable, int boot,
		   int min, int max, GucContext context, int flags)
{
	DefineCustomIntVariable(name, what, NULL, variable, boot, min, max,
							context, flags, NULL, NULL, NULL);
}

static void
define_bool(const char *name, const char *what, bool *variable, bool boot)
{
	DefineCustomBoolVariable(name, what, NULL, variable, boot,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static void
define_string(const char *name, const char *what, char **variable,
			  const char *boot, int flags, GucStringCheckHook check)
{
	DefineCustomStringVariable(name, what, NULL, variable, boot,
							   PGC_SIGHUP, flags, check, NULL, NULL);
}

static void
define_server(GucContext restart)
{
	define_string("quizrt.database", "Database that is served.",
				  &quizrt_database, "postgres", 0, NULL);
	define_string("quizrt.role",
				  "Role that queries of the quiz tables run as; empty: the tables' owner.",
				  &quizrt_role, "", 0, NULL);
	define_int("quizrt.gateways", "Number of processes that serve clients.",
			   &quizrt_gateways, quizrt_gateways, 0, 64, restart, 0);
	define_int("quizrt.query_workers",
			   "Number of processes that ask the database for the gateways.",
			   &quizrt_query_workers, quizrt_query_workers, 1, 16,
			   PGC_SIGHUP, 0);
	define_string("quizrt.listen_addresses",
				  "Host names or IP addresses to listen on; empty: none.",
				  &quizrt_listen_addresses, "localhost", GUC_LIST_INPUT, NULL);
	define_int("quizrt.port", "TCP port to listen on.",
			   &quizrt_port, quizrt_port, 1, 65535, PGC_SIGHUP, 0);
	define_string("quizrt.unix_socket_directories",
				  "Directories for Unix-domain sockets; empty: none.",
				  &quizrt_unix_socket_directories, "", GUC_LIST_INPUT, NULL);
	define_string("quizrt.allowed_origins",
				  "Origins from which browsers may connect; empty: any.",
				  &quizrt_allowed_origins, "", GUC_LIST_INPUT, NULL);
	define_string("quizrt.tls_cert_file",
				  "Certificate chain in PEM format; set: TLS only.",
				  &quizrt_tls_cert_file, "", 0, NULL);
	define_string("quizrt.tls_key_file", "Private key in PEM format.",
				  &quizrt_tls_key_file, "", 0, NULL);
	DefineCustomEnumVariable("quizrt.tls_min_protocol",
							 "Oldest TLS version that is accepted.", NULL,
							 &quizrt_tls_min_protocol, TLS1_2_VERSION,
							 tls_protocols, PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_bool("quizrt.deflate",
				"Compress messages for clients that offer permessage-deflate.",
				&quizrt_deflate, quizrt_deflate);
	define_string("quizrt.trusted_proxies",
				  "Addresses and networks of proxies that are believed about their clients.",
				  &quizrt_trusted_proxies, "", GUC_LIST_INPUT, check_addresses);
	define_bool("quizrt.proxy_protocol",
				"Expect the PROXY protocol on the port, from trusted proxies only.",
				&quizrt_proxy_protocol, quizrt_proxy_protocol);
	define_string("quizrt.echo_path",
				  "Path of an echo for conformance tests; empty: none.",
				  &quizrt_echo_path, "", GUC_SUPERUSER_ONLY, check_path);
}

static void
define_limits(GucContext restart)
{
	define_int("quizrt.max_connections",
			   "WebSocket connections at the same time, over all gateways.",
			   &quizrt_max_connections, quizrt_max_connections, 1, 10000000,
			   PGC_SIGHUP, 0);
	define_int("quizrt.max_connections_per_address",
			   "WebSocket connections from one address; 0: no limit.",
			   &quizrt_max_connections_per_address,
			   quizrt_max_connections_per_address, 0, 10000000,
			   PGC_SIGHUP, 0);
	define_int("quizrt.max_handshakes",
			   "Connections of one gateway that are no WebSocket yet.",
			   &quizrt_max_handshakes, quizrt_max_handshakes, 1, 1000000,
			   PGC_SIGHUP, 0);
	define_int("quizrt.max_subscriptions",
			   "Channels that one connection may subscribe to.",
			   &quizrt_max_subscriptions, quizrt_max_subscriptions,
			   1, 100000, PGC_SIGHUP, 0);
	define_int("quizrt.max_request_head",
			   "Size of an HTTP request's line and headers.",
			   &quizrt_max_request_head, quizrt_max_request_head,
			   512, 1024 * 1024, PGC_SIGHUP, GUC_UNIT_BYTE);
	define_int("quizrt.max_message_size",
			   "Size of a client's message.",
			   &quizrt_max_message_size, quizrt_max_message_size,
			   125, 64 * 1024 * 1024, PGC_SIGHUP, GUC_UNIT_BYTE);
	define_int("quizrt.max_queue_size",
			   "Bytes waiting to be sent to one client.",
			   &quizrt_max_queue_size, quizrt_max_queue_size,
			   16 * 1024, 1024 * 1024 * 1024, PGC_SIGHUP, GUC_UNIT_BYTE);
	define_int("quizrt.max_error_rate",
			   "Errors a second that a client may cause for ten seconds; 0: no limit.",
			   &quizrt_max_error_rate, quizrt_max_error_rate, 0, 100000,
			   PGC_SIGHUP, 0);
	define_int("quizrt.request_timeout",
			   "Time for TLS to be agreed on and a request's head to arrive.",
			   &quizrt_request_timeout, quizrt_request_timeout,
			   100, 600000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("quizrt.send_timeout",
			   "Time in which a client must take some of what waits for it.",
			   &quizrt_send_timeout, quizrt_send_timeout,
			   1000, 600000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("quizrt.close_timeout",
			   "Time that the peer's close is waited for.",
			   &quizrt_close_timeout, quizrt_close_timeout,
			   10, 60000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("quizrt.shutdown_timeout",
			   "Time that closing all connections may take at shutdown.",
			   &quizrt_shutdown_timeout, quizrt_shutdown_timeout,
			   0, 60000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("quizrt.ring_size",
			   "Shared memory for events on their way to the gateways.",
			   &quizrt_ring_size, quizrt_ring_size, 64, 1024 * 1024,
			   restart, GUC_UNIT_KB);
	define_int("quizrt.max_event_size", "Size of an event's data.",
			   &quizrt_max_event_size, quizrt_max_event_size,
			   1024, 64 * 1024 * 1024, PGC_SIGHUP, GUC_UNIT_BYTE);
	define_int("quizrt.max_questions",
			   "Questions to the query workers at the same time.",
			   &quizrt_max_questions, quizrt_max_questions, 16, 65536,
			   restart, 0);
	define_int("quizrt.query_timeout",
			   "Time for an answer from the database.",
			   &quizrt_query_timeout, quizrt_query_timeout, 100, 600000,
			   PGC_SIGHUP, GUC_UNIT_MS);
}

static void
define_credentials(void)
{
	define_string("quizrt.jwt_algorithms",
				  "Signature algorithms that are accepted in a JWT.",
				  &quizrt_jwt_algorithms, "HS256", GUC_LIST_INPUT,
				  check_algorithms);
	DefineCustomStringVariable("quizrt.jwt_secret",
							   "Secret of the HMAC algorithms; never shown.",
							   NULL, &jwt_secret_shown, SECRET_SHOWN,
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, check_secret,
							   assign_jwt_secret, NULL);
	define_string("quizrt.jwt_public_key_file",
				  "Public keys in PEM format.",
				  &quizrt_jwt_public_key_file, "", GUC_SUPERUSER_ONLY, NULL);
	define_string("quizrt.jwt_owner_claim", "Claim that names the owner.",
				  &quizrt_jwt_owner_claim, "sub", 0, check_claim);
	define_string("quizrt.jwt_tenant_claim", "Claim that names the tenant.",
				  &quizrt_jwt_tenant_claim, "tenant", 0, check_claim);
	define_string("quizrt.jwt_issuer",
				  "Issuer that a JWT must name; empty: any.",
				  &quizrt_jwt_issuer, "", 0, NULL);
	define_string("quizrt.jwt_audience",
				  "Audience that a JWT must name; empty: not checked.",
				  &quizrt_jwt_audience, "", 0, NULL);
	define_int("quizrt.jwt_leeway",
			   "Tolerance for the clocks of a JWT's issuer and this server.",
			   &quizrt_jwt_leeway, quizrt_jwt_leeway, 0, 3600,
			   PGC_SIGHUP, GUC_UNIT_S);
	define_bool("quizrt.enforce_expiry",
				"Close a connection when its credential expires.",
				&quizrt_enforce_expiry, quizrt_enforce_expiry);
}

static void
define_publishing(void)
{
	DefineCustomBoolVariable("quizrt.publish",
							 "Tell of the changes that this session or transaction makes.",
							 NULL, &quizrt_publish_changes,
							 quizrt_publish_changes, PGC_USERSET, 0, NULL,
							 NULL, NULL);
}

static void
define_dialects(void)
{
	define_int("quizrt.ping_interval",
			   "Time between pings to a client of the quiz API.",
			   &quizrt_ping_interval, quizrt_ping_interval, 100, 3600000,
			   PGC_SIGHUP, GUC_UNIT_MS);
	define_int("quizrt.pong_timeout",
			   "Time for the answer to a ping.",
			   &quizrt_pong_timeout, quizrt_pong_timeout, 100, 3600000,
			   PGC_SIGHUP, GUC_UNIT_MS);
	define_int("quizrt.closed_attempt_timeout",
			   "Time that a participant may stay after the attempt was closed.",
			   &quizrt_closed_attempt_timeout, quizrt_closed_attempt_timeout,
			   0, 86400000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("quizrt.leaderboard_interval",
			   "Least time between two snapshots of a leaderboard.",
			   &quizrt_leaderboard_interval, quizrt_leaderboard_interval,
			   10, 60000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("quizrt.leaderboard_size", "Rows of a leaderboard.",
			   &quizrt_leaderboard_size, quizrt_leaderboard_size, 1, 100000,
			   PGC_SIGHUP, 0);
	define_bool("quizrt.dashboard_enabled", "Serve the dashboard API.",
				&quizrt_dashboard_enabled, quizrt_dashboard_enabled);
	define_int("quizrt.dashboard_heartbeat",
			   "Time between heartbeats of the dashboard API.",
			   &quizrt_dashboard_heartbeat, quizrt_dashboard_heartbeat,
			   100, 3600000, PGC_SIGHUP, GUC_UNIT_MS);
	define_bool("quizrt.dashboard_multi_tenant",
				"Show a dashboard's client the projects of its tenant only.",
				&quizrt_dashboard_multi_tenant, quizrt_dashboard_multi_tenant);
	define_int("quizrt.dashboard_auth_timeout",
			   "Time for a dashboard's first message, where it has the token.",
			   &quizrt_dashboard_auth_timeout, quizrt_dashboard_auth_timeout,
			   100, 600000, PGC_SIGHUP, GUC_UNIT_MS);
	define_bool("quizrt.security_api_key_enabled",
				"Ask for an API key on the security API.",
				&quizrt_security_api_key_enabled,
				quizrt_security_api_key_enabled);
	define_int("quizrt.security_ping_interval",
			   "Time between heartbeats of the security API.",
			   &quizrt_security_ping_interval, quizrt_security_ping_interval,
			   100, 3600000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("quizrt.security_idle_timeout",
			   "Time without a client's message before it is closed.",
			   &quizrt_security_idle_timeout, quizrt_security_idle_timeout,
			   100, 86400000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("quizrt.security_rate_limit",
			   "New connections an address and minute; 0: no limit.",
			   &quizrt_security_rate_limit, quizrt_security_rate_limit,
			   0, 1000000, PGC_SIGHUP, 0);
	define_int("quizrt.system_status_interval",
			   "Time between system status messages.",
			   &quizrt_system_status_interval, quizrt_system_status_interval,
			   100, 3600000, PGC_SIGHUP, GUC_UNIT_MS);
}

void
SettingsDefine(bool preloaded)
{
	/*
	 * A postmaster-level setting can't be defined after start-up.  In a
	 * server that didn't preload us it is a reloadable one without effect.
	 */
	GucContext	restart = preloaded ? PGC_POSTMASTER : PGC_SIGHUP;

	define_server(restart);
	define_limits(restart);
	define_credentials();
	define_publishing();
	define_dialects();
	MarkGUCPrefixReserved("quizrt");
}
