/*-------------------------------------------------------------------------
 *
 * tls.c
 *		TLS on a client's connection, by OpenSSL.
 *
 * The context
 *
 * A context is made of the certificate and the key when they are loaded, and
 * every new connection refers to the present one.  Loading makes a new context
 * beside the old one and replaces it when all of it is good; connections go on
 * with theirs, which OpenSSL frees with the last of them.  A certificate that
 * can't be used leaves the old one serving.  Where there is no old one, nobody
 * is served over the network at all: a port that should speak TLS never
 * speaks anything else (listener.c).
 *
 * A context also has the keys that session tickets are encrypted with, each
 * gateway its own, so that a client that comes back saves the costly part of
 * the handshake if it meets the same gateway.  Who has those keys can read
 * TLS 1.2 connections that were resumed, so they don't grow old: the context
 * is made anew twice a day.
 *
 * Reading and writing
 *
 * OpenSSL may have to write in order to read (a handshake), and to read in
 * order to write.  So a direction that waits says for what, and watch() and
 * happened() translate between what a connection wants to do and what the
 * poller sees of its socket.
 *
 * The handshake is no state of its own: it happens while the request's head
 * is read, under the same deadline and the same limit on their number.
 *
 * OpenSSL hands out a record at a time, so reading goes on until the buffer
 * has no room for a whole one.  Then no decrypted bytes ever stay behind where
 * the poller doesn't see them.
 *
 * A write that would wait has been encrypted already, and must be repeated
 * with the same bytes: the queue is told how many are promised, and puts
 * nothing before them.
 *
 * After an error a connection can't be used any more, not even for saying
 * good-bye.  OpenSSL has sent its alert by then; the socket is shut down and
 * drained like any other, or a reset would overtake the alert.
 *
 * Nothing here throws, as OpenSSL's frames may be below us.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/counters.h"
#include "common/settings.h"
#include "gateway/poller.h"
#include "gateway/tls.h"

/*
 * As in libpq/libpq.h, which can't be included without the headers of the
 * GSSAPI library that the server was built with.
 */
extern bool check_ssl_key_file_permissions(const char *ssl_key_file,
										   bool isServerStart);

/* Of TLS 1.2; those of 1.3 are all good. */
#define CIPHERS			"ECDHE+AESGCM:ECDHE+CHACHA20"

#define RECORD_SIZE		SSL3_RT_MAX_PLAIN_LENGTH

#define TICKET_LIFETIME	(12 * 3600)	/* s */

/* How a file looked when it was loaded: another one differs. */
typedef struct FileMark
{
	struct timespec changed;
	off_t		size;
	ino_t		inode;
	mode_t		mode;
	uid_t		owner;
} FileMark;

typedef struct TlsState
{
	SSL		   *ssl;
	bool		broken;			/* an error: only the socket is left */
	bool		read_wants_write;
	bool		write_wants_read;
} TlsState;

static SSL_CTX *context;
static bool up_to_date;			/* the context is what the settings name */
static bool failed;				/* these files couldn't be used: */
static FileMark failed_marks[2];
static TimeMs renewal = NEVER;

/* Pieces of a queue are put together to one record here. */
static char record[RECORD_SIZE];

/*
 * The context
 */

bool
TlsWanted(void)
{
	return quizrt_tls_cert_file[0] != '\0' || quizrt_tls_key_file[0] != '\0';
}

bool
TlsReady(void)
{
	return context != NULL;
}

void
TlsReload(void)
{
	up_to_date = false;
	failed = false;
}

TimeMs
TlsRenewal(void)
{
	return context != NULL && up_to_date ? renewal : NEVER;
}

/* Why OpenSSL's last call failed. */
static const char *
last_error(void)
{
	unsigned long code = ERR_get_error();
	const char *reason;

	ERR_clear_error();
	if (ERR_GET_LIB(code) == ERR_LIB_SYS)
		return strerror(ERR_GET_REASON(code));
	reason = code != 0 ? ERR_reason_error_string(code) : NULL;
	return reason != NULL ? reason : "unknown error";
}

/* Nobody is there to be asked for a passphrase. */
static int
no_passphrase(char *buffer, int size, int writing, void *argument)
{
	return 0;
}

/* A client that asks for protocols gets HTTP/1.1 or an alert. */
static int
choose_protocol(SSL *ssl, const unsigned char **chosen,
				unsigned char *chosen_length, const unsigned char *offered,
				unsigned int offered_length, void *argument)
{
	static const unsigned char ours[] = "\010http/1.1";
	unsigned char *found;

	if (SSL_select_next_proto(&found, chosen_length, ours, sizeof(ours) - 1,
							  offered,
							  offered_length) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*chosen = found;
	return SSL_TLSEXT_ERR_OK;
}

/* What doesn't depend on the files. */
static bool
set_up(SSL_CTX *new_context)
{
	SSL_CTX_set_options(new_context,
						SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
						SSL_OP_CIPHER_SERVER_PREFERENCE |
						SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(new_context,
					 SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(new_context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(new_context, TICKET_LIFETIME);
	SSL_CTX_set_num_tickets(new_context, 1);
	SSL_CTX_set_default_passwd_cb(new_context, no_passphrase);
	SSL_CTX_set_alpn_select_cb(new_context, choose_protocol, NULL);
	return SSL_CTX_set_min_proto_version(new_context,
										 quizrt_tls_min_protocol) == 1 &&
		SSL_CTX_set_cipher_list(new_context, CIPHERS) == 1;
}

static bool
set_files(SSL_CTX *new_context, TlsComplain complain)
{
	const char *certificate = quizrt_tls_cert_file;
	const char *key = quizrt_tls_key_file;

	if (SSL_CTX_use_certificate_chain_file(new_context, certificate) != 1)
	{
		complain("load the certificate", certificate, last_error());
		return false;
	}

	/* This says by itself what is wrong. */
	if (!check_ssl_key_file_permissions(key, false))
	{
		complain("use the private key", key,
				 "see the message before this one");
		return false;
	}
	if (SSL_CTX_use_PrivateKey_file(new_context, key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(new_context) != 1)
	{
		complain("load the private key", key, last_error());
		return false;
	}
	return true;
}

/* A context of what the settings name; NULL and a complaint. */
static SSL_CTX *
make_context(TlsComplain complain)
{
	SSL_CTX    *new_context;

	if (quizrt_tls_cert_file[0] == '\0' || quizrt_tls_key_file[0] == '\0')
	{
		complain("serve TLS with", quizrt_tls_cert_file,
				 "quizrt.tls_cert_file and quizrt.tls_key_file must both be set");
		return NULL;
	}
	ERR_clear_error();
	new_context = SSL_CTX_new(TLS_server_method());
	if (new_context == NULL || !set_up(new_context))
		complain("serve TLS with", quizrt_tls_cert_file, last_error());
	else if (set_files(new_context, complain))
		return new_context;
	SSL_CTX_free(new_context);
	return NULL;
}

static void
mark_file(const char *path, FileMark *mark)
{
	struct stat status;

	memset(mark, 0, sizeof(*mark));
	if (stat(path, &status) < 0)
		return;
	mark->changed = status.st_ctim;
	mark->size = status.st_size;
	mark->inode = status.st_ino;
	mark->mode = status.st_mode;
	mark->owner = status.st_uid;
}

static void
mark_files(FileMark marks[2])
{
	mark_file(quizrt_tls_cert_file, &marks[0]);
	mark_file(quizrt_tls_key_file, &marks[1]);
}

bool
TlsLoad(TlsComplain complain)
{
	FileMark	marks[2];
	SSL_CTX    *new_context;

	if (up_to_date && gateway_now < TlsRenewal())
		return true;
	if (!TlsWanted())
	{
		SSL_CTX_free(context);
		context = NULL;
		up_to_date = true;
		return true;
	}
	mark_files(marks);
	if (failed && memcmp(marks, failed_marks, sizeof(marks)) == 0)
		return false;

	new_context = make_context(complain);
	failed = new_context == NULL;
	memcpy(failed_marks, marks, sizeof(marks));
	up_to_date = !failed;
	if (failed)
		return false;
	SSL_CTX_free(context);
	context = new_context;
	renewal = gateway_now + (TimeMs) TICKET_LIFETIME * 1000;
	return true;
}

/*
 * A connection
 */

bool
TlsStart(Connection *connection)
{
	TlsState   *state = calloc(1, sizeof(TlsState));

	if (state == NULL)
		return false;
	ERR_clear_error();
	state->ssl = SSL_new(context);
	if (state->ssl == NULL || SSL_set_fd(state->ssl, connection->fd) != 1)
	{
		ERR_clear_error();
		SSL_free(state->ssl);
		free(state);
		return false;
	}
	SSL_set_accept_state(state->ssl);
	connection->io = &tls_io;
	connection->io_state = state;
	connection->encrypted = true;
	return true;
}

/*
 * What a call that gave no bytes means, as a result of read() or write():
 * *other is set where it waits for the other direction.
 */
static ssize_t
explain(TlsState *state, int result, int expected, int opposite, bool *other)
{
	int			saved = errno;
	int			error = SSL_get_error(state->ssl, result);

	if (error == expected || error == opposite)
	{
		*other = error == opposite;
		errno = EAGAIN;
		return -1;
	}
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (!SSL_is_init_finished(state->ssl))
		CounterAdd(COUNTER_TLS_FAILED, 1);
	state->broken = true;
	ERR_clear_error();

	/* EPROTO tells the caller that the socket itself still works. */
	errno = error == SSL_ERROR_SYSCALL && saved != 0 ? saved :
		error == SSL_ERROR_SYSCALL ? ECONNRESET : EPROTO;
	return -1;
}

static ssize_t
tls_read(Connection *connection, char *buffer, size_t size)
{
	TlsState   *state = connection->io_state;
	size_t		total = 0;
	ssize_t		result;

	Assert(size >= RECORD_SIZE);
	if (connection->state == CONNECTION_DRAINING)
		return recv(connection->fd, buffer, size, 0);
	if (state->broken)
	{
		errno = EPROTO;
		return -1;
	}
	do
	{
		int			n;

		ERR_clear_error();
		errno = 0;
		n = SSL_read(state->ssl, buffer + total, (int) (size - total));
		if (n <= 0)
		{
			result = explain(state, n, SSL_ERROR_WANT_READ,
							 SSL_ERROR_WANT_WRITE, &state->read_wants_write);
			/* what has come counts first; the rest is said again */
			return total > 0 ? (ssize_t) total : result;
		}
		state->read_wants_write = false;
		total += n;
	} while (size - total >= RECORD_SIZE);
	Assert(SSL_pending(state->ssl) == 0);
	return (ssize_t) total;
}

/* The bytes of the vectors, up to a record, in one piece. */
static const char *
gather(const struct iovec *vectors, int n, size_t *length)
{
	size_t		wanted = *length;
	size_t		have = 0;

	if (vectors[0].iov_len >= wanted)
		return vectors[0].iov_base;
	for (int i = 0; i < n && have < wanted; i++)
	{
		size_t		part = Min(vectors[i].iov_len, wanted - have);

		memcpy(record + have, vectors[i].iov_base, part);
		have += part;
	}
	*length = have;
	return record;
}

static ssize_t
tls_write(Connection *connection, const struct iovec *vectors, int n)
{
	TlsState   *state = connection->io_state;
	size_t		length = connection->output.promised;
	const char *bytes;
	ssize_t		result;
	int			written;

	if (state->broken)
	{
		errno = EPIPE;
		return -1;
	}
	if (length == 0)
		length = RECORD_SIZE;
	bytes = gather(vectors, n, &length);
	ERR_clear_error();
	errno = 0;
	written = SSL_write(state->ssl, bytes, (int) length);
	if (written > 0)
	{
		state->write_wants_read = false;
		connection->output.promised = 0;
		return written;
	}
	result = explain(state, written, SSL_ERROR_WANT_WRITE,
					 SSL_ERROR_WANT_READ, &state->write_wants_read);
	connection->output.promised = (uint32) length;
	if (result == 0)
		errno = EPIPE;
	return -1;
}

static void
tls_shutdown(Connection *connection)
{
	TlsState   *state = connection->io_state;

	if (!state->broken && SSL_is_init_finished(state->ssl))
	{
		ERR_clear_error();
		(void) SSL_shutdown(state->ssl);
		ERR_clear_error();
	}
	shutdown(connection->fd, SHUT_WR);
}

static void
tls_release(Connection *connection)
{
	TlsState   *state = connection->io_state;

	SSL_free(state->ssl);
	free(state);
	connection->io_state = NULL;
}

/* Is the socket all that is left to read from? */
static bool
is_raw(const Connection *connection)
{
	return ((TlsState *) connection->io_state)->broken ||
		connection->state == CONNECTION_DRAINING;
}

static int
tls_watch(Connection *connection, int events)
{
	TlsState   *state = connection->io_state;
	int			watched = 0;

	if (is_raw(connection))
		return events;
	if (events & POLL_READ)
		watched |= state->read_wants_write ? POLL_WRITE : POLL_READ;
	if (events & POLL_WRITE)
		watched |= state->write_wants_read ? POLL_READ : POLL_WRITE;
	return watched;
}

static int
tls_happened(Connection *connection, int events)
{
	TlsState   *state = connection->io_state;
	int			possible = events & POLL_HANGUP;

	if (is_raw(connection))
		return events;
	if (events & (state->read_wants_write ? POLL_WRITE : POLL_READ))
		possible |= POLL_READ;
	if (events & (state->write_wants_read ? POLL_READ : POLL_WRITE))
		possible |= POLL_WRITE;
	return possible;
}

static bool
tls_can_answer(Connection *connection)
{
	TlsState   *state = connection->io_state;

	return !state->broken && SSL_is_init_finished(state->ssl);
}

const IoOperations tls_io = {
	tls_read, tls_write, tls_shutdown, tls_release, tls_watch, tls_happened,
	tls_can_answer
};
