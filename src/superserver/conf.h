/*
 * conf.h: the configuration of the super-server: its services with every value that they
 * have after defaults, `enabled`, `disabled` and included files.
 *
 * Reads xinetd's language (conf_words.h) and inetd.conf. The reader opens no file itself;
 * the caller's functions in struct sockeye__conf_world do. Errors and warnings are
 * collected, and reading goes on after an error.
 */
#ifndef SOCKEYE_SUPERSERVER_CONF_H
#define SOCKEYE_SUPERSERVER_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "superserver/access_rules.h"
#include "superserver/conf_notes.h"

#define SOCKEYE__CONF_SERVICES_MAX 4096
#define SOCKEYE__CONF_FILES_MAX    1024 /* read for one configuration */
#define SOCKEYE__CONF_DEPTH_MAX    16   /* of include */

/* Attributes, in the order in which a configuration is printed. */
enum sockeye__conf_attribute {
	SOCKEYE__CONF_A_DISABLE,
	SOCKEYE__CONF_A_ID,
	SOCKEYE__CONF_A_TYPE,
	SOCKEYE__CONF_A_FLAGS,
	SOCKEYE__CONF_A_SOCKET_TYPE,
	SOCKEYE__CONF_A_PROTOCOL,
	SOCKEYE__CONF_A_PORT,
	SOCKEYE__CONF_A_BIND,
	SOCKEYE__CONF_A_V6ONLY,
	SOCKEYE__CONF_A_WAIT,
	SOCKEYE__CONF_A_USER,
	SOCKEYE__CONF_A_GROUP,
	SOCKEYE__CONF_A_GROUPS,
	SOCKEYE__CONF_A_SERVER,
	SOCKEYE__CONF_A_SERVER_ARGS,
	SOCKEYE__CONF_A_ENV,
	SOCKEYE__CONF_A_PASSENV,
	SOCKEYE__CONF_A_STDERR,
	SOCKEYE__CONF_A_UMASK,
	SOCKEYE__CONF_A_NICE,
	SOCKEYE__CONF_A_RLIMIT_AS,
	SOCKEYE__CONF_A_RLIMIT_CPU,
	SOCKEYE__CONF_A_RLIMIT_DATA,
	SOCKEYE__CONF_A_RLIMIT_FILES,
	SOCKEYE__CONF_A_RLIMIT_RSS,
	SOCKEYE__CONF_A_RLIMIT_STACK,
	SOCKEYE__CONF_A_REDIRECT,
	SOCKEYE__CONF_A_RPC_VERSION,
	SOCKEYE__CONF_A_RPC_NUMBER,
	SOCKEYE__CONF_A_MODEL,
	SOCKEYE__CONF_A_WORKERS,
	SOCKEYE__CONF_A_SANDBOX,
	SOCKEYE__CONF_A_ROOT,
	SOCKEYE__CONF_A_UPLOAD,
	SOCKEYE__CONF_A_INSTANCES,
	SOCKEYE__CONF_A_PER_SOURCE,
	SOCKEYE__CONF_A_PER_SOURCE_PREFIX,
	SOCKEYE__CONF_A_CPS,
	SOCKEYE__CONF_A_RATE,
	SOCKEYE__CONF_A_MAX_LOAD,
	SOCKEYE__CONF_A_OVER_LIMIT,
	SOCKEYE__CONF_A_IDLE_TIMEOUT,
	SOCKEYE__CONF_A_MAX_TIME,
	SOCKEYE__CONF_A_ONLY_FROM,
	SOCKEYE__CONF_A_NO_ACCESS,
	SOCKEYE__CONF_A_ACCESS_TIMES,
	SOCKEYE__CONF_A_DENY_TIME,
	SOCKEYE__CONF_A_LIBWRAP,
	SOCKEYE__CONF_A_PROXY_PROTOCOL,
	SOCKEYE__CONF_A_BANNER,
	SOCKEYE__CONF_A_BANNER_SUCCESS,
	SOCKEYE__CONF_A_BANNER_FAIL,
	SOCKEYE__CONF_A_LOG_TYPE,
	SOCKEYE__CONF_A_LOG_ON_SUCCESS,
	SOCKEYE__CONF_A_LOG_ON_FAILURE,
	SOCKEYE__CONF_A_ENABLED,
	SOCKEYE__CONF_A_DISABLED,
	SOCKEYE__CONF_A_CONTROL,
	SOCKEYE__CONF_A_METRICS,
	SOCKEYE__CONF_ATTRIBUTES
};

/* Values of attributes with a choice of words: bits of a set, or one of several. */
enum {
	SOCKEYE__CONF_TYPE_RPC = 1 << 0,
	SOCKEYE__CONF_TYPE_INTERNAL = 1 << 1,
	SOCKEYE__CONF_TYPE_UNLISTED = 1 << 2,
	SOCKEYE__CONF_TYPE_TCPMUX = 1 << 3,
	SOCKEYE__CONF_TYPE_TCPMUXPLUS = 1 << 4,
	SOCKEYE__CONF_TYPE_SPECIAL = 1 << 5, /* has no effect */
};
enum {
	SOCKEYE__CONF_FLAG_REUSE = 1 << 0, /* has no effect: always set */
	SOCKEYE__CONF_FLAG_INTERCEPT = 1 << 1,
	SOCKEYE__CONF_FLAG_NORETRY = 1 << 2,
	SOCKEYE__CONF_FLAG_IDONLY = 1 << 3,
	SOCKEYE__CONF_FLAG_NAMEINARGS = 1 << 4,
	SOCKEYE__CONF_FLAG_NODELAY = 1 << 5,
	SOCKEYE__CONF_FLAG_KEEPALIVE = 1 << 6,
	SOCKEYE__CONF_FLAG_NOLIBWRAP = 1 << 7,
	SOCKEYE__CONF_FLAG_SENSOR = 1 << 8,
	SOCKEYE__CONF_FLAG_IPV4 = 1 << 9,
	SOCKEYE__CONF_FLAG_IPV6 = 1 << 10,
	SOCKEYE__CONF_FLAG_LABELED = 1 << 11,
};
enum {
	SOCKEYE__CONF_LOG_PID = 1 << 0,
	SOCKEYE__CONF_LOG_HOST = 1 << 1,
	SOCKEYE__CONF_LOG_USERID = 1 << 2,
	SOCKEYE__CONF_LOG_EXIT = 1 << 3,
	SOCKEYE__CONF_LOG_DURATION = 1 << 4,
	SOCKEYE__CONF_LOG_TRAFFIC = 1 << 5,
	SOCKEYE__CONF_LOG_ATTEMPT = 1 << 6,
};
enum sockeye__conf_socket {
	SOCKEYE__CONF_STREAM,
	SOCKEYE__CONF_DGRAM,
	SOCKEYE__CONF_RAW,
	SOCKEYE__CONF_SEQPACKET,
};
enum sockeye__conf_protocol {
	SOCKEYE__CONF_TCP,
	SOCKEYE__CONF_UDP,
	SOCKEYE__CONF_SCTP,
	SOCKEYE__CONF_DCCP,
	SOCKEYE__CONF_UDPLITE,
	SOCKEYE__CONF_ICMP,
};
enum sockeye__conf_over_limit { SOCKEYE__CONF_DELAY, SOCKEYE__CONF_REFUSE };
enum {
	SOCKEYE__CONF_PROXY_ACCEPT = 1 << 0,
	SOCKEYE__CONF_PROXY_SEND_V1 = 1 << 1,
	SOCKEYE__CONF_PROXY_SEND_V2 = 1 << 2,
};

#define SOCKEYE__CONF_UNLIMITED INT64_MAX

/* Words, NUL-terminated. at[count] is NULL. */
struct sockeye__conf_list {
	const char *const *at;
	size_t count;
};

struct sockeye__conf_spans {
	const struct sockeye__access_span *at;
	size_t count;
};

struct sockeye__conf_log {
	enum { SOCKEYE__CONF_LOG_NONE, SOCKEYE__CONF_LOG_SYSLOG, SOCKEYE__CONF_LOG_FILE } kind;
	unsigned facility, level; /* rows of sockeye__conf_facilities[] and _levels[] */
	const char *path;
	int64_t soft, hard; /* bytes; 0: no limit */
};
extern const char *const sockeye__conf_facilities[], *const sockeye__conf_levels[];

/* Where a value is from. */
struct sockeye__conf_given {
	struct sockeye__conf_place place;
	enum sockeye__conf_origin {
		SOCKEYE__CONF_BUILTIN, /* the default of the attribute */
		SOCKEYE__CONF_BY_DEFAULTS,
		SOCKEYE__CONF_BY_ENTRY,
		SOCKEYE__CONF_DERIVED, /* from other attributes */
		SOCKEYE__CONF_WRONG,   /* given, but its value could not be read */
	} by;
};

enum sockeye__conf_state {
	SOCKEYE__CONF_ENABLED,
	SOCKEYE__CONF_DISABLED, /* by disable, enabled or disabled */
	SOCKEYE__CONF_DROPPED,  /* because of an error */
};

/* A service, or the defaults entry. Numbers count bytes, seconds or what
 * sockeye__conf_infos[] specifies; times are nanoseconds. */
struct sockeye__conf_service {
	struct sockeye__conf_place place; /* of the entry */
	enum sockeye__conf_state state;
	const char *name;
	struct sockeye__conf_given given[SOCKEYE__CONF_ATTRIBUTES];

	const char *id;
	unsigned type, flags, log_on_success, log_on_failure, proxy_protocol; /* bits */
	unsigned socket_type, protocol, model, over_limit;                    /* enums */
	int64_t port;
	const char *bind;
	bool disable, v6only, wait, groups, sandbox, upload;
	const char *user, *group, *server, *stderr_to, *root, *libwrap;
	struct sockeye__conf_list server_args, env, passenv, redirect; /* redirect: host, port */
	int64_t umask, nice;
	int64_t rlimit_as, rlimit_cpu, rlimit_data, rlimit_files, rlimit_rss, rlimit_stack;
	int64_t rpc_version[2], rpc_number;
	int64_t workers, instances, per_source;
	int64_t per_source_prefix[2];         /* bits of IPv4 and IPv6 */
	int64_t cps[2];                       /* connections per second, seconds of pause */
	int64_t rate[3];                      /* connections, seconds, burst */
	int64_t max_load;                     /* in 1/1000; 0: no limit */
	int64_t idle_timeout_ns, max_time_ns; /* 0: never */
	struct sockeye__access_list only_from, no_access;
	struct sockeye__conf_spans access_times;
	int64_t deny_time; /* minutes; 0: never */
	const char *banner, *banner_success, *banner_fail;
	struct sockeye__conf_log log_type;
	struct sockeye__conf_list enabled, disabled; /* of defaults */
	const char *control, *metrics;               /* of defaults */

	/* For the reader. */
	unsigned defaults_before;    /* number of defaults entries before this entry */
	size_t notes_from, notes_to; /* the notes about it */
};

struct sockeye__conf {
	struct sockeye__conf_service defaults;
	struct sockeye__conf_service *services;
	size_t count;
	struct sockeye__conf_notes notes;
	struct sockeye__conf_block *memory; /* of all texts and lists */
};

/* How the reader learns about files and names. Only `read` is required. */
struct sockeye__conf_world {
	void *context;
	/* Reads a file. Returns 0 with a text for free(3), or -errno. */
	int (*read)(void *context, const char *path, char **out_text, size_t *out_len);
	/* Returns the names of the regular files in a directory, each followed by a NUL, with
	 * another NUL at the end, for free(3). */
	int (*list)(void *context, const char *path, char **out_names);
	/* Returns the port of a service for "tcp" or "udp", or -ENOENT. */
	int (*port)(void *context, const char *service, const char *protocol);
	/* Whether a host or network with this name is known. */
	bool (*name_known)(void *context, const char *name);
	/* Whether this is a program that the server can run; user names and groups. */
	bool (*is_program)(void *context, const char *path);
	bool (*is_user)(void *context, const char *name);
	bool (*is_group)(void *context, const char *name);
};

enum sockeye__conf_language { SOCKEYE__CONF_XINETD, SOCKEYE__CONF_INETD };

/* Reads a configuration. Returns 0 with *out, whose notes may have errors
 * (sockeye__conf_notes_fatal()): a strict server then starts nothing; with `compat`, the
 * services that are enabled remain. Returns -ENOMEM, or -errno if the first file cannot be
 * read. */
int sockeye__conf_read(const char *path, enum sockeye__conf_language language, bool compat,
		       const struct sockeye__conf_world *world, struct sockeye__conf **out);
/* Frees a configuration. Does nothing for NULL. */
void sockeye__conf_free(struct sockeye__conf *conf);

/* Whether a service has the attribute, from its entry or from defaults. */
bool sockeye__conf_has(const struct sockeye__conf_service *service,
		       enum sockeye__conf_attribute attribute);

/* Kinds of values. */
enum sockeye__conf_kind {
	SOCKEYE__CONF_K_YES_NO,
	SOCKEYE__CONF_K_WORD,
	SOCKEYE__CONF_K_PATH,
	SOCKEYE__CONF_K_WORDS,
	SOCKEYE__CONF_K_ENV,
	SOCKEYE__CONF_K_NUMBER,
	SOCKEYE__CONF_K_LIMIT, /* or UNLIMITED */
	SOCKEYE__CONF_K_BYTES, /* or UNLIMITED; K and M */
	SOCKEYE__CONF_K_OCTAL,
	SOCKEYE__CONF_K_THOUSANDTHS,
	SOCKEYE__CONF_K_MINUTES, /* or FOREVER or NEVER */
	SOCKEYE__CONF_K_TIME,
	SOCKEYE__CONF_K_PAIR,
	SOCKEYE__CONF_K_RATE,
	SOCKEYE__CONF_K_RANGE,
	SOCKEYE__CONF_K_CHOICE,
	SOCKEYE__CONF_K_BITS,
	SOCKEYE__CONF_K_ADDRESSES,
	SOCKEYE__CONF_K_SPANS,
	SOCKEYE__CONF_K_LOG,
	SOCKEYE__CONF_K_TARGETS,
	SOCKEYE__CONF_K_STDERR,
};

enum {
	SOCKEYE__CONF_IN_SERVICE = 1 << 0,
	SOCKEYE__CONF_IN_DEFAULTS = 1 << 1,
	SOCKEYE__CONF_IS_SET = 1 << 2,     /* allows +=, -= and several lines */
	SOCKEYE__CONF_COPIED = 1 << 3,     /* from the defaults that precede the service */
	SOCKEYE__CONF_NEW = 1 << 4,        /* xinetd does not have it */
	SOCKEYE__CONF_NO_REMOVE = 1 << 5,  /* of a set: no -= */
	SOCKEYE__CONF_OF_BUILTIN = 1 << 6, /* has no effect on programs */
};

/* An attribute: one row for the reader, the printer, the manual and help. */
struct sockeye__conf_info {
	const char *name;
	enum sockeye__conf_kind kind;
	unsigned flags;
	size_t offset, size; /* of the field in struct sockeye__conf_service */
	int64_t min, max;
	const char *const *words; /* CHOICE and BITS; ends with NULL */
	const char *unit;         /* of the value, or NULL */
	const char *by_default;   /* in words */
	const char *help;         /* a verb phrase */
};
extern const struct sockeye__conf_info sockeye__conf_infos[SOCKEYE__CONF_ATTRIBUTES];

/* Prints all services as a file for xinetd, without defaults: each service has all its
 * values. Returns a text for free(3), or NULL if memory is short. */
char *sockeye__conf_print(const struct sockeye__conf *conf);

#endif
