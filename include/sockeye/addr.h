/*
 * addr.h: addresses as text, scheme://host:port?option=value&option.
 *
 * Parsing is pure: no name is looked up, so a parsed address may still name
 * a host or a service that does not exist. sockeye-address(7) has the grammar.
 */
#ifndef SOCKEYE_ADDR_H
#define SOCKEYE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/error.h>
#include <sockeye/visibility.h>

SOCKEYE_BEGIN

enum sockeye_scheme {
	SOCKEYE_TCP,
	SOCKEYE_UDP,
	SOCKEYE_UNIX, /* a stream */
	SOCKEYE_UNIX_DGRAM,
	SOCKEYE_UNIX_SEQPACKET,
	SOCKEYE_SCTP,
	SOCKEYE_MPTCP,
	SOCKEYE_TLS,
	SOCKEYE_TFTP, /* RFC 3617 */
	SOCKEYE_ICMP,
	SOCKEYE_FD, /* fd:3, a descriptor this process inherited */
};

#define SOCKEYE_HOST_MAX      255 /* RFC 1035 2.3.4 */
#define SOCKEYE_SERVICE_MAX   32
#define SOCKEYE_ZONE_MAX      15  /* IFNAMSIZ - 1 */
#define SOCKEYE_UNIX_PATH_MAX 107 /* sun_path, less the NUL */
#define SOCKEYE_ADDR_TEXT_MAX 512 /* enough for any address printed, with NUL */

/* Options behind '?'. Zero means "not given" for each. */
struct sockeye_addr_opts {
	bool nodelay;     /* TCP_NODELAY */
	bool keepalive;   /* SO_KEEPALIVE */
	bool reuseport;   /* SO_REUSEPORT */
	bool broadcast;   /* SO_BROADCAST */
	bool dontroute;   /* SO_DONTROUTE */
	bool v6only;      /* IPV6_V6ONLY */
	bool has_mode;    /* mode=0660 of a UNIX socket's file */
	uint16_t mode;    /* permission bits */
	uint8_t ttl;      /* 1-255: IP_TTL and IPV6_UNICAST_HOPS */
	uint32_t backlog; /* 1-65535: of listen(2) */
	uint32_t rcvbuf;  /* bytes: SO_RCVBUF */
	uint32_t sndbuf;  /* bytes: SO_SNDBUF */
	/* bind=HOST[:PORT] of a client: its local address, as written; of a UNIX
	 * socket a path or @name, percent-decoded. */
	char bind[SOCKEYE_UNIX_PATH_MAX + 2];
};

struct sockeye_addr {
	enum sockeye_scheme scheme;
	int family;                      /* 0 either, 4 or 6: tcp4, udp6 ... */
	char host[SOCKEYE_HOST_MAX + 1]; /* no brackets; "" is any address */
	char zone[SOCKEYE_ZONE_MAX + 1]; /* IPv6 zone, "" when none */
	bool has_port;                   /* port is a number */
	uint16_t port;
	char service[SOCKEYE_SERVICE_MAX + 1]; /* a name for a port, when !has_port */
	bool abstract;                         /* unix:@name */
	uint8_t path_len;                      /* bytes of path, without NUL or '@' */
	char path[SOCKEYE_UNIX_PATH_MAX + 1];  /* may hold NULs when abstract */
	int fd;                                /* of fd: */
	char file[256];                        /* tftp://host/file, percent-decoded */
	bool netascii;                         /* its ;mode=netascii; octet otherwise */
	struct sockeye_addr_opts opts;
};

/* Reads `text` into *out. On failure returns a SOCKEYE_E code, leaves *out
 * alone and, when why is not NULL, fills in *why: op "parse address", the text
 * (escaped), and in detail what was wrong and what is known ("known schemes:
 * tcp udp ..."). A bare host:port is tcp. Port 0 is accepted: connecting
 * refuses it, binding picks a port. Thread-safe. */
SOCKEYE_API int sockeye_addr_parse(const char *text, struct sockeye_addr *out,
				   struct sockeye_fail *why);

/* Writes `addr` as text that parses back to the same address: visible ASCII,
 * one word, every other byte of a path or file as %XX. Always
 * NUL-terminated when cap > 0; returns the length of the whole text, as
 * snprintf. SOCKEYE_ADDR_TEXT_MAX is enough but for a long file name or long
 * escapes. Thread-safe. */
SOCKEYE_API size_t sockeye_addr_print(const struct sockeye_addr *addr, char *buf, size_t cap);

/* A decimal port 0-65535 and nothing else: -EINVAL or -ERANGE otherwise (glibc
 * turns 99999 into 34463). Thread-safe. */
SOCKEYE_API int sockeye_port_parse(const char *text, uint16_t *out_port);

/* What a scheme is called in an address: "tcp". Constant. Thread-safe. */
SOCKEYE_API const char *sockeye_scheme_name(enum sockeye_scheme scheme);

/* Whether the scheme moves a stream of bytes (tcp, unix, mptcp, sctp, tls)
 * rather than messages (udp, unix-dgram). unix-seqpacket is connected like a
 * stream and keeps messages: it counts as a stream here. What fd:3 is only the
 * kernel knows: it does not. Thread-safe. */
SOCKEYE_API bool sockeye_scheme_is_stream(enum sockeye_scheme scheme);

/* Whether the scheme is one of the three UNIX-domain kinds. Thread-safe. */
SOCKEYE_API bool sockeye_scheme_is_unix(enum sockeye_scheme scheme);

SOCKEYE_END

#endif
