/*
 * addr.h: addresses as text, scheme://host:port?option=value&option.
 *
 * Parsing resolves no names, so the host or the service of a parsed address may not
 * exist. sockeye-address(7) has the grammar.
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
	SOCKEYE_UNIX, /* stream */
	SOCKEYE_UNIX_DGRAM,
	SOCKEYE_UNIX_SEQPACKET,
	SOCKEYE_SCTP,
	SOCKEYE_MPTCP,
	SOCKEYE_TLS,
	SOCKEYE_TFTP, /* RFC 3617 */
	SOCKEYE_ICMP,
	SOCKEYE_FD, /* fd:3, an inherited descriptor */
};

#define SOCKEYE_HOST_MAX      255 /* RFC 1035, section 2.3.4 */
#define SOCKEYE_SERVICE_MAX   32
#define SOCKEYE_ZONE_MAX      15  /* IFNAMSIZ - 1 */
#define SOCKEYE_UNIX_PATH_MAX 107 /* bytes of sun_path without the NUL */
#define SOCKEYE_ADDR_TEXT_MAX 512 /* bytes for a printed address, with the NUL */

/* The options after '?'. Zero means that an option is not set. */
struct sockeye_addr_opts {
	bool nodelay;     /* TCP_NODELAY */
	bool keepalive;   /* SO_KEEPALIVE */
	bool reuseport;   /* SO_REUSEPORT */
	bool broadcast;   /* SO_BROADCAST */
	bool dontroute;   /* SO_DONTROUTE */
	bool v6only;      /* IPV6_V6ONLY */
	bool freebind;    /* IP_FREEBIND, IPV6_FREEBIND */
	bool has_mode;    /* mode=0660 */
	uint16_t mode;    /* permission bits of a UNIX socket's file */
	uint8_t ttl;      /* 1 to 255: IP_TTL and IPV6_UNICAST_HOPS */
	uint32_t backlog; /* 1 to 65535: of listen(2) */
	uint32_t rcvbuf;  /* bytes: SO_RCVBUF */
	uint32_t sndbuf;  /* bytes: SO_SNDBUF */
	char
	    interface[16]; /* multicast: name or number of the interface; "": the kernel's choice */
	char source[46];   /* multicast: receive from this IP address only; "": from all */
	/* A client's local address: bind=HOST[:PORT] as it was written, or the
	 * percent-decoded path or @name of a UNIX socket. */
	char bind[SOCKEYE_UNIX_PATH_MAX + 2];
};

struct sockeye_addr {
	enum sockeye_scheme scheme;
	int family;                      /* 0 both, 4 or 6: tcp4, udp6 ... */
	char host[SOCKEYE_HOST_MAX + 1]; /* without brackets; "" is any address */
	char zone[SOCKEYE_ZONE_MAX + 1]; /* IPv6 zone, or "" */
	bool has_port;                   /* the port is a number */
	uint16_t port;
	char service[SOCKEYE_SERVICE_MAX + 1]; /* the port's name, unless has_port */
	bool abstract;                         /* unix:@name */
	uint8_t path_len;                      /* bytes of path, without NUL and '@' */
	char path[SOCKEYE_UNIX_PATH_MAX + 1];  /* an abstract name may contain NULs */
	int fd;                                /* SOCKEYE_FD */
	char file[256];                        /* tftp://host/file, percent-decoded */
	bool netascii;                         /* ;mode=netascii; otherwise octet */
	struct sockeye_addr_opts opts;
	/* The text that errors show instead of the printed address; NULL: they show the
	 * printed address. The caller keeps the text. For programs that add parts to an
	 * address that their user did not write. */
	const char *shown;
};

/* Parses a NUL-terminated text into *out. The scheme of a bare host:port is tcp. Port 0
 * is valid here; connecting rejects it, and listening lets the kernel choose a port.
 * Returns 0 or a SOCKEYE_E code. On failure the function does not write to *out and,
 * unless why is NULL, fills in *why: the op "parse address", the escaped text, and what
 * is wrong with the text ("known schemes: tcp udp ..."). Thread-safe. */
SOCKEYE_API int sockeye_addr_parse(const char *text, struct sockeye_addr *out,
				   struct sockeye_fail *why);

/* Writes an address as text that parses to the same address: one word of visible
 * ASCII, with the other bytes of a path or file as %XX. Returns the length of the
 * whole text in bytes; like snprintf(), it truncates text that does not fit, and
 * writes a NUL if cap > 0. SOCKEYE_ADDR_TEXT_MAX bytes are enough unless the host or the
 * file name is very long or a long path needs many escapes. Thread-safe. */
SOCKEYE_API size_t sockeye_addr_print(const struct sockeye_addr *addr, char *buf, size_t cap);

/* Parses a decimal port from 0 to 65535 and nothing else. Returns 0, -EINVAL if the
 * text is not a number, or -ERANGE if the number is above 65535. (glibc would truncate
 * 99999 to 34463.) Thread-safe. */
SOCKEYE_API int sockeye_port_parse(const char *text, uint16_t *out_port);

/* Returns the name of a scheme, for example "tcp". The string is constant.
 * Thread-safe. */
SOCKEYE_API const char *sockeye_scheme_name(enum sockeye_scheme scheme);

/* Returns whether a scheme is connection-oriented: true for tcp, unix, mptcp, sctp, tls
 * and unix-seqpacket, although unix-seqpacket preserves message boundaries. Returns
 * false for udp, unix-dgram, tftp and icmp, and for fd, because the address does not
 * show the kind of the socket. Thread-safe. */
SOCKEYE_API bool sockeye_scheme_is_stream(enum sockeye_scheme scheme);

/* Returns whether a scheme is unix, unix-dgram or unix-seqpacket. Thread-safe. */
SOCKEYE_API bool sockeye_scheme_is_unix(enum sockeye_scheme scheme);

SOCKEYE_END

#endif
