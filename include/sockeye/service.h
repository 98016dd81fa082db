/*
 * service.h: the contract between a service and its driver.
 *
 * A service processes bytes. It uses no file descriptors, reads no clock, and does not
 * allocate memory, log or draw random numbers. A driver (a server model, a test, a
 * fuzzer) calls the service for each turn, with input, room for output, and the time. The
 * service takes input, and may return output, set a deadline or ask the driver to close
 * the session. The same service runs under every model.
 *
 *   turn: in  [bytes the peer sent ......]   in_end: no bytes follow them
 *             |-- in_taken --|               the rest is offered again
 *         out [..................]           inside in[] (no copy) or room[]
 *
 * The driver keeps these rules:
 *  - `in` and `room` stay in place until the turn's output has been sent: with
 *    io_uring the kernel may still be reading the output.
 *  - The next turn does not begin before all output has been sent. If a peer does not
 *    read, the driver stops reading from that peer, so that no queue is unbounded.
 *  - `in_end` is set once input has ended, with the last bytes or alone, and in every
 *    later turn. The service may still send output.
 *  - Input that the service did not take is offered first in the next turn. While
 *    SOCKEYE_INPUT_MAX such bytes wait, the driver receives no more. If the service
 *    then sets neither `more` nor a deadline, the session can never continue, and the
 *    driver closes the connection.
 *  - A record of a seqpacket connection (`in_is_record`) should be taken as a whole:
 *    the rest is offered again together with the next record. The driver skips empty
 *    records.
 */
#ifndef SOCKEYE_SERVICE_H
#define SOCKEYE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/time.h>
#include <sockeye/visibility.h>

SOCKEYE_BEGIN

#define SOCKEYE_ROOM_MIN  1024         /* least bytes of room that a driver offers */
#define SOCKEYE_INPUT_MAX (256 * 1024) /* bytes of input that may wait for a session */
#define SOCKEYE_STATE_MAX 64           /* bytes of state that a session may have */

struct sockeye_turn {
	/* Set by the driver. */
	uint8_t *in; /* memory of the driver; the service may overwrite the bytes it takes */
	size_t in_len;
	uint8_t *room; /* where the service may write output */
	size_t room_len;
	struct sockeye_now now; /* zero unless the service sets uses_time */
	bool in_end;            /* end of file: no bytes follow `in` */
	bool in_is_record;      /* `in` is a record of a seqpacket connection, after any rest of
				 * earlier records, and not part of a stream */

	/* Set by the service; zero before the call. */
	size_t in_taken;
	const uint8_t *out; /* within in[0..in_taken) or room[0..room_len) */
	size_t out_len;
	uint64_t deadline_ns; /* call again at this time at the latest (uses_time); 0: none */
	bool more;            /* call again as soon as this output has been sent, with or
			       * without new input; otherwise only for new input, its end or
			       * the deadline */
	bool close;           /* close when this output has been sent */
};

/* One datagram and the reply to it. */
struct sockeye_answer {
	/* Set by the driver. */
	uint8_t *in; /* memory of the driver; the service may overwrite it */
	size_t in_len;
	uint8_t *room; /* at least 65,507 bytes */
	size_t room_len;
	struct sockeye_now now; /* zero unless the service sets uses_time */

	/* Set by the service; zero before the call. */
	bool send; /* send a reply, which may be empty */
	const uint8_t *out;
	size_t out_len;
};

/* The values of an option, and the type of its field in the config. */
enum sockeye_option_kind {
	SOCKEYE_OPTION_FLAG,   /* no value; bool */
	SOCKEYE_OPTION_NUMBER, /* min to max; uint32_t */
	SOCKEYE_OPTION_TEXT,   /* at most max bytes, NUL-terminated; const char * */
	SOCKEYE_OPTION_CHOICE, /* one of choices; unsigned, its index */
	SOCKEYE_OPTION_TIME,   /* uint64_t nanoseconds; a TIME of 0 sets UINT64_MAX */
};

/* An option of a service. sockeye serve makes its command line, help and completion from
 * these rows. */
struct sockeye_option {
	const char *name;  /* long, without "--"; NULL ends a table */
	char letter;       /* short; 0: none */
	const char *value; /* name of the value in help: "TEXT"; NULL for a flag */
	const char *help;  /* a phrase */
	enum sockeye_option_kind kind;
	size_t offset;              /* of its field in the service's config */
	uint32_t min, max;          /* NUMBER; TEXT: bytes. max 0: no maximum */
	const char *const *choices; /* CHOICE: terminated by NULL */
	bool streams_only;          /* no effect on datagrams */
	bool datagrams_only;        /* no effect on streams */
};

struct sockeye_service {
	const char *name;
	const char *summary; /* one line for --list */
	uint16_t port;       /* the well-known port; 0: none */
	size_t state_size;   /* bytes of zeroed state for each session, <= SOCKEYE_STATE_MAX */
	bool uses_time;      /* turns and datagrams carry the time */
	bool speaks_first;   /* the first turn does not wait for input */
	bool amplifies;      /* the reply to a datagram may be longer than the datagram: the
			      * driver limits such replies per source (CERT CA-1996-01) */

	/* A turn of a stream. `state` belongs to the session; `config` is that of the site.
	 * NULL: the service has no streams. */
	void (*turn)(void *state, const void *config, struct sockeye_turn *t);

	/* The reply to a datagram. NULL: the service has no datagrams. */
	void (*datagram)(const void *config, struct sockeye_answer *a);

	/* Options of the service, terminated by a row without a name. NULL: none. */
	const struct sockeye_option *options;
};

/* How the daytime service writes the date; RFC 867 leaves it open. */
enum sockeye_daytime_format {
	SOCKEYE_DAYTIME_SMTP = 0, /* Sat, 21 Nov 2026 03:49:19 +0000 (RFC 5322) */
	SOCKEYE_DAYTIME_CTIME,    /* Sat Nov 21 03:49:19 2026 */
};

/* The options of the built-in services. Zero is the default of each. */
struct sockeye_builtin_config {
	const char *text;      /* reply: the reply; NULL: "Server got message" */
	size_t text_len;       /* bytes of text, <= SOCKEYE_ROOM_MIN - 2; 0: up to its NUL */
	bool once;             /* reply: close a stream after the first reply */
	uint64_t pause_ns;     /* reply: after this time without input, reply to a line that has
				* no LF yet; 0: 100 ms; UINT64_MAX: wait for the LF or the end
				* of the input */
	unsigned daytime;      /* daytime: an enum sockeye_daytime_format */
	uint32_t datagram_len; /* chargen: bytes of each datagram, 1 to 512; 0: a length that
				* varies from 0 to 512 (RFC 864) */
};

/* The built-in services, terminated by NULL. The config of each is NULL or points to a
 * struct sockeye_builtin_config. */
SOCKEYE_API extern const struct sockeye_service *const sockeye_builtins[];

/* Returns the built-in service of that name, or NULL. Thread-safe. */
SOCKEYE_API const struct sockeye_service *sockeye_builtin_find(const char *name);

SOCKEYE_END

#endif
