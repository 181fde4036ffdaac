/*-------------------------------------------------------------------------
 *
 * settings.h
 *		The quizrt.* settings, as the variables that the code reads.
 *
 * Times are milliseconds unless a name says otherwise, sizes are bytes where
 * the comment says so.  Every process has its own copy, refreshed when it
 * serves a reload.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_SETTINGS_H
#define QUIZRT_SETTINGS_H

/* What is served, and by how many processes */
extern char *quizrt_database;
extern char *quizrt_role;
extern int	quizrt_gateways;		/* needs a restart */
extern int	quizrt_query_workers;

/* Where it listens */
extern char *quizrt_listen_addresses;
extern int	quizrt_port;
extern char *quizrt_unix_socket_directories;
extern char *quizrt_allowed_origins;

/* TLS */
extern char *quizrt_tls_cert_file;
extern char *quizrt_tls_key_file;
extern int	quizrt_tls_min_protocol;	/* an OpenSSL version number */

/* permessage-deflate */
extern bool quizrt_deflate;

/* Proxies */
extern char *quizrt_trusted_proxies;
extern bool quizrt_proxy_protocol;

/* For tests only; empty: none */
extern char *quizrt_echo_path;

/* Limits on clients */
extern int	quizrt_max_connections;
extern int	quizrt_max_connections_per_address; /* 0: none */
extern int	quizrt_max_handshakes;
extern int	quizrt_max_subscriptions;
extern int	quizrt_max_request_head;	/* bytes */
extern int	quizrt_max_message_size;	/* bytes */
extern int	quizrt_max_queue_size;	/* bytes */
extern int	quizrt_max_error_rate;	/* errors a second, 0: none */
extern int	quizrt_request_timeout;
extern int	quizrt_send_timeout;
extern int	quizrt_close_timeout;
extern int	quizrt_shutdown_timeout;

/* Do row triggers send anything?  Each session's and transaction's choice. */
extern bool quizrt_publish_changes;

/* Bounds of what crosses processes */
extern int	quizrt_ring_size;		/* kB, needs a restart */
extern int	quizrt_max_event_size;	/* bytes */
extern int	quizrt_max_questions;	/* needs a restart */
extern int	quizrt_query_timeout;

/* Credentials */
extern char *quizrt_jwt_algorithms;
extern const char *quizrt_jwt_secret;
extern char *quizrt_jwt_public_key_file;
extern char *quizrt_jwt_owner_claim;
extern char *quizrt_jwt_tenant_claim;
extern char *quizrt_jwt_issuer;
extern char *quizrt_jwt_audience;
extern int	quizrt_jwt_leeway;		/* seconds */
extern bool quizrt_enforce_expiry;

/* The quiz API */
extern int	quizrt_ping_interval;
extern int	quizrt_pong_timeout;
extern int	quizrt_closed_attempt_timeout;
extern int	quizrt_leaderboard_interval;
extern int	quizrt_leaderboard_size;

/* The dashboard API */
extern bool quizrt_dashboard_enabled;
extern int	quizrt_dashboard_heartbeat;
extern bool quizrt_dashboard_multi_tenant;
extern int	quizrt_dashboard_auth_timeout;

/* The security API */
extern bool quizrt_security_api_key_enabled;
extern int	quizrt_security_ping_interval;
extern int	quizrt_security_idle_timeout;
extern int	quizrt_security_rate_limit; /* connections a minute, 0: none */
extern int	quizrt_system_status_interval;

/*
 * Define the settings.  For _PG_init; "preloaded" tells whether those that
 * need a server start can still be set (outside of preloading they are
 * defined so that SHOW and configuration files work, and have no effect).
 */
extern void SettingsDefine(bool preloaded);

/*
 * Does a comma-separated setting name this word?  Case-insensitive, blanks
 * around words are ignored.
 */
extern bool SettingListHas(const char *list, const char *word);

#endif							/* QUIZRT_SETTINGS_H */
