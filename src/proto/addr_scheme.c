/*
 * addr_scheme.c: the schemes of addresses.
 */
#include <sockeye/addr.h>

#include "proto/addr_internal.h"

const struct sockeye__scheme sockeye__schemes[SOCKEYE__SCHEMES] = {
    [SOCKEYE_TCP] = {.name = "tcp", .stream = true},
    [SOCKEYE_UDP] = {.name = "udp"},
    [SOCKEYE_UNIX] = {.name = "unix", .kind = SOCKEYE__UNIX, .stream = true},
    [SOCKEYE_UNIX_DGRAM] = {.name = "unix-dgram", .kind = SOCKEYE__UNIX},
    [SOCKEYE_UNIX_SEQPACKET] = {.name = "unix-seqpacket", .kind = SOCKEYE__UNIX, .stream = true},
    [SOCKEYE_SCTP] = {.name = "sctp", .stream = true},
    [SOCKEYE_MPTCP] = {.name = "mptcp", .stream = true},
    [SOCKEYE_TLS] = {.name = "tls", .stream = true},
    [SOCKEYE_TFTP] = {.name = "tftp", .file = true, .port = 69},
    [SOCKEYE_ICMP] = {.name = "icmp", .no_port = true},
    [SOCKEYE_FD] = {.name = "fd", .kind = SOCKEYE__INHERITED},
};

const char *sockeye_scheme_name(enum sockeye_scheme scheme)
{
	return sockeye__schemes[scheme].name;
}

bool sockeye_scheme_is_stream(enum sockeye_scheme scheme)
{
	return sockeye__schemes[scheme].stream;
}

bool sockeye_scheme_is_unix(enum sockeye_scheme scheme)
{
	return sockeye__schemes[scheme].kind == SOCKEYE__UNIX;
}
