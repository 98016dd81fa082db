/*
 * service.h: the contract between a service and whoever moves the bytes.
 *
 * A service says what happens to bytes. It holds no descriptor and asks no
 * clock; it does not allocate, log or draw random numbers. A driver (a server
 * model, a test, a fuzzer) offers it a turn: some input, some room, the time.
 * The service takes what it wants of the input and answers with output, a
 * deadline, or the wish to close. The same object runs under every model.
 *
 *   turn: in  [bytes the peer sent ......]   in_end: nothing follows them
 *             |-- in_taken --|               left over: offered again later
 *         out [..................]           inside in[] (no copy) or room[]
 *
 * Rules the drivers keep:
 *  - `in` and `room` stay where they are until the turn's output has left
 *    (with io_uring the kernel may still be reading it).
 *  - The next turn comes when all output has been taken. A peer that does not
 *    read stops its own input; nothing is queued without bound.
 *  - `in_end` is given once input has ended, with the last bytes or alone,
 *    and in every later turn. It is not a close: output may follow.
 *  - Input that was left over is offered again, first, in the next turn. A
 *    session that has left SOCKEYE_INPUT_MAX bytes over gets no more; when it
 *    then wants neither `more` nor a deadline it is closed, for it never will.
 *  - A record of a seqpacket connection (`whole`) is to be taken whole: what is
 *    left over of it is offered again together with the next. An empty one is
 *    passed over.
 */
#ifndef SOCKEYE_SERVICE_H
#define SOCKEYE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/time.h>
#include <sockeye/visibility.h>

SOCKEYE_BEGIN

#define SOCKEYE_ROOM_MIN  1024         /* a driver offers at least this much room */
#define SOCKEYE_INPUT_MAX (256 * 1024) /* bytes a session may leave over and still get more */
#define SOCKEYE_STATE_MAX 64           /* bytes of session state a service may ask for */

struct sockeye_turn {
	/* What the driver offers. */
	uint8_t *in; /* the driver's memory; what is taken of it may be overwritten */
	size_t in_len;
	uint8_t *room; /* where fresh output can be written */
	size_t room_len;
	struct sockeye_now now; /* zero unless the service set uses_time */
	bool in_end;            /* the peer has ended its side: nothing follows `in` */
	bool whole; /* `in` is one whole message (a seqpacket record), not a piece of a stream */

	/* What the service answers; zero before the call. */
	size_t in_taken;
	const uint8_t *out; /* within in[0..in_taken) or room[0..room_len) */
	size_t out_len;
	uint64_t deadline_ns; /* a turn at this time at the latest (uses_time); 0 none */
	bool more;            /* there is more to say, now or to input left over: a turn as soon as
			       * this output has left. Without it the next turn brings news */
	bool close;           /* close when this output has left */
};

/* One whole datagram and the answer to it. */
struct sockeye_answer {
	uint8_t *in; /* as above: may be overwritten */
	size_t in_len;
	uint8_t *room; /* at least 65,507 bytes */
	size_t room_len;
	struct sockeye_now now;
	bool send; /* there is an answer, which may be empty */
	const uint8_t *out;
	size_t out_len;
};

/* What an option of a service takes, and the type of its field in the config. */
enum sockeye_option_kind {
	SOCKEYE_OPTION_FLAG,   /* no value; bool */
	SOCKEYE_OPTION_NUMBER, /* min to max; uint32_t */
	SOCKEYE_OPTION_TEXT,   /* at most max bytes, NUL-terminated; const char * */
	SOCKEYE_OPTION_CHOICE, /* one of choices; unsigned, its index */
};

/* An option of a service. A program makes a command line of these rows, as
 * sockeye serve does, or a form, or a file. */
struct sockeye_option {
	const char *name;  /* long, without "--"; NULL ends a table */
	char letter;       /* short, 0 none */
	const char *value; /* what help calls the value: "TEXT"; NULL for a flag */
	const char *help;  /* a phrase */
	enum sockeye_option_kind kind;
	size_t offset;              /* of its field in the service's config */
	uint32_t min, max;          /* NUMBER, TEXT; max 0: no maximum */
	const char *const *choices; /* CHOICE, ended by NULL */
	bool streams_only;          /* it changes nothing for datagrams */
	bool datagrams_only;        /* it changes nothing for streams */
};

struct sockeye_service {
	const char *name;
	const char *summary; /* one line for --list */
	uint16_t port;       /* the well-known port, 0 none */
	size_t state_size;   /* bytes of zeroed state each session gets, <= SOCKEYE_STATE_MAX */
	bool uses_time;      /* turns carry the time */
	bool speaks_first;   /* the first turn comes at once, without input */
	bool amplifies;      /* a datagram's answer may be longer than the datagram: it is
			      * rate-limited per source (CERT CA-1996-01) */

	/* A stream's turn. `state` is this session's, `config` the service's own
	 * options as the caller of sockeye_serve gave them. NULL: no streams. */
	void (*turn)(void *state, const void *config, struct sockeye_turn *t);

	/* A datagram's answer. NULL: no datagrams. */
	void (*datagram)(const void *config, struct sockeye_answer *a);

	/* Its options, ended by a row without a name; NULL: none. */
	const struct sockeye_option *options;
};

/* How the daytime service writes the date (RFC 867 leaves it open). */
enum sockeye_daytime_format {
	SOCKEYE_DAYTIME_SMTP = 0, /* Sat, 21 Nov 2026 03:49:19 +0000 (RFC 5322) */
	SOCKEYE_DAYTIME_CTIME,    /* Sat Nov 21 03:49:19 2026 */
};

/* The options of the built-in services; zero is the default of each. */
struct sockeye_builtin_config {
	const char *text;      /* reply: the reply; NULL: "Server got message" */
	size_t text_len;       /* bytes of text, at most SOCKEYE_ROOM_MIN - 2; 0: up to its NUL */
	bool once;             /* reply: close a stream after the first reply */
	unsigned daytime;      /* enum sockeye_daytime_format */
	uint32_t datagram_len; /* chargen: bytes of each datagram, 1 to 512; 0: a varying length,
				* from 0 to 512 (RFC 864) */
};

/* The built-in services, ended by NULL: echo discard chargen daytime time
 * upper reply. Their config is a struct sockeye_builtin_config or NULL. */
SOCKEYE_API extern const struct sockeye_service *const sockeye_builtins[];

/* The built-in service of that name, or NULL. Thread-safe. */
SOCKEYE_API const struct sockeye_service *sockeye_builtin_find(const char *name);

SOCKEYE_END

#endif
