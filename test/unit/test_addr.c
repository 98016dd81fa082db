/* test_addr.c: parses and prints valid addresses; rejects invalid ones with advice. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <sockeye/addr.h>

#include "../rows.h"
#include "same_addr.h"

#define A50  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A100 A50 A50

/* The text, the text that is printed ("" if it is the same), and the result. */
static const struct {
	const char *text;
	const char *printed;
	struct sockeye_addr want;
} valid[] = {
    {"tcp://127.0.0.1:7", "", {.host = "127.0.0.1", .has_port = true, .port = 7}},
    {"my_host-1.x:7", "tcp://my_host-1.x:7", {.host = "my_host-1.x", .has_port = true, .port = 7}},
    {"example.org.:7",
     "tcp://example.org.:7",
     {.host = "example.org.", .has_port = true, .port = 7}},
    {"[::1]:80", "tcp://[::1]:80", {.host = "::1", .has_port = true, .port = 80}},
    {"[::ffff:1.2.3.4]:80",
     "tcp://[::ffff:1.2.3.4]:80",
     {.host = "::ffff:1.2.3.4", .has_port = true, .port = 80}},
    {"udp://[fe80::1%lo]:7",
     "",
     {.scheme = SOCKEYE_UDP, .host = "fe80::1", .zone = "lo", .has_port = true, .port = 7}},
    {"udp://[fe80::1%25lo]:7",
     "udp://[fe80::1%lo]:7",
     {.scheme = SOCKEYE_UDP, .host = "fe80::1", .zone = "lo", .has_port = true, .port = 7}},
    {"[fe80::1%2]:7",
     "tcp://[fe80::1%2]:7",
     {.host = "fe80::1", .zone = "2", .has_port = true, .port = 7}},
    {"[fe80::1%25]:7",
     "tcp://[fe80::1%2525]:7",
     {.host = "fe80::1", .zone = "25", .has_port = true, .port = 7}},
    {"[fe80::1%25253]:7",
     "tcp://[fe80::1%25253]:7",
     {.host = "fe80::1", .zone = "253", .has_port = true, .port = 7}},
    {"*:7", "tcp://*:7", {.has_port = true, .port = 7}},
    {":0", "tcp://*:0", {.has_port = true}},
    {"tcp://:9000", "tcp://*:9000", {.has_port = true, .port = 9000}},
    {"tcp://h:65535/", "tcp://h:65535", {.host = "h", .has_port = true, .port = 65535}},
    {"tcp://h:007", "tcp://h:7", {.host = "h", .has_port = true, .port = 7}},
    {"tcp://h:http", "", {.host = "h", .service = "http"}},
    {"tcp://*:iso-tsap_1+2", "", {.service = "iso-tsap_1+2"}},
    {"TCP://h:1", "tcp://h:1", {.host = "h", .has_port = true, .port = 1}},
    {"tcp4://h:1", "", {.family = 4, .host = "h", .has_port = true, .port = 1}},
    {"Tcp6://h:1", "tcp6://h:1", {.family = 6, .host = "h", .has_port = true, .port = 1}},
    {"udp4://*:69", "", {.scheme = SOCKEYE_UDP, .family = 4, .has_port = true, .port = 69}},
    {"sctp://h:7", "", {.scheme = SOCKEYE_SCTP, .host = "h", .has_port = true, .port = 7}},
    {"mptcp://h:7", "", {.scheme = SOCKEYE_MPTCP, .host = "h", .has_port = true, .port = 7}},
    {"tls://h:7", "", {.scheme = SOCKEYE_TLS, .host = "h", .has_port = true, .port = 7}},
    {"tcp://tcp:7", "", {.host = "tcp", .has_port = true, .port = 7}},
    {"icmp://127.0.0.1", "", {.scheme = SOCKEYE_ICMP, .host = "127.0.0.1"}},
    {"icmp6://[::1]/", "icmp6://[::1]", {.scheme = SOCKEYE_ICMP, .family = 6, .host = "::1"}},

    {"unix:/run/x.sock", "", {.scheme = SOCKEYE_UNIX, .path_len = 11, .path = "/run/x.sock"}},
    {"unix:x.sock", "", {.scheme = SOCKEYE_UNIX, .path_len = 6, .path = "x.sock"}},
    {"unix:80", "", {.scheme = SOCKEYE_UNIX, .path_len = 2, .path = "80"}},
    {"unix:@x", "", {.scheme = SOCKEYE_UNIX, .abstract = true, .path_len = 1, .path = "x"}},
    {"unix:%40x", "", {.scheme = SOCKEYE_UNIX, .path_len = 2, .path = "@x"}},
    {"unix:@@x", "", {.scheme = SOCKEYE_UNIX, .abstract = true, .path_len = 2, .path = "@x"}},
    {"unix:@//x", "", {.scheme = SOCKEYE_UNIX, .abstract = true, .path_len = 3, .path = "//x"}},
    {"unix:@a%00b%00",
     "",
     {.scheme = SOCKEYE_UNIX, .abstract = true, .path_len = 4, .path = "a\0b\0"}},
    {"unix:@%00", "", {.scheme = SOCKEYE_UNIX, .abstract = true, .path_len = 1, .path = "\0"}},
    {"unix:///run/x", "unix:/run/x", {.scheme = SOCKEYE_UNIX, .path_len = 6, .path = "/run/x"}},
    {"unix:////x", "unix:/%2Fx", {.scheme = SOCKEYE_UNIX, .path_len = 3, .path = "//x"}},
    {"unix:/a b?mode=0",
     "unix:/a%20b?mode=0000",
     {.scheme = SOCKEYE_UNIX, .path_len = 4, .path = "/a b", .opts.has_mode = true}},
    {"unix:/%3f%25%0a#&",
     "unix:/%3F%25%0A#&",
     {.scheme = SOCKEYE_UNIX, .path_len = 6, .path = "/?%\n#&"}},
    {"unix:/gr\xc3\xbcn",
     "unix:/gr%C3%BCn",
     {.scheme = SOCKEYE_UNIX, .path_len = 6, .path = "/gr\xc3\xbcn"}},
    {"unix:" A100 "aaaaaaa", "", {.scheme = SOCKEYE_UNIX, .path_len = 107, .path = A100 "aaaaaaa"}},
    {"unix:" A100 "aaaaaa%41",
     "unix:" A100 "aaaaaaA",
     {.scheme = SOCKEYE_UNIX, .path_len = 107, .path = A100 "aaaaaaA"}},
    {"unix-seqpacket:@x",
     "",
     {.scheme = SOCKEYE_UNIX_SEQPACKET, .abstract = true, .path_len = 1, .path = "x"}},

    {"fd:3", "", {.scheme = SOCKEYE_FD, .fd = 3}},
    {"fd:0", "", {.scheme = SOCKEYE_FD}},
    {"fd:2147483647", "", {.scheme = SOCKEYE_FD, .fd = 2147483647}},

    {"tftp://h/f",
     "tftp://h:69/f",
     {.scheme = SOCKEYE_TFTP, .host = "h", .has_port = true, .port = 69, .file = "f"}},
    {"tftp://*", "tftp://*:69", {.scheme = SOCKEYE_TFTP, .has_port = true, .port = 69}},
    {"tftp://[::1]:6969/a%20b/c;mode=netascii",
     "",
     {.scheme = SOCKEYE_TFTP,
      .host = "::1",
      .has_port = true,
      .port = 6969,
      .file = "a b/c",
      .netascii = true}},
    {"tftp://h:tftp//x;mode=octet",
     "tftp://h:tftp//x",
     {.scheme = SOCKEYE_TFTP, .host = "h", .service = "tftp", .file = "/x"}},
    {"tftp://h:1/a%3Bb%3F?ttl=3",
     "",
     {.scheme = SOCKEYE_TFTP,
      .host = "h",
      .has_port = true,
      .port = 1,
      .file = "a;b?",
      .opts.ttl = 3}},

    {"tcp://h:1?nodelay&keepalive=1&reuseport=yes&dontroute&v6only",
     "tcp://h:1?nodelay&keepalive&reuseport&dontroute&v6only",
     {.host = "h",
      .has_port = true,
      .port = 1,
      .opts = {.nodelay = true,
	       .keepalive = true,
	       .reuseport = true,
	       .dontroute = true,
	       .v6only = true}}},
    {"tcp6://[::1]:1?v6only&freebind=1&ttl=2",
     "tcp6://[::1]:1?v6only&freebind&ttl=2",
     {.family = 6,
      .host = "::1",
      .has_port = true,
      .port = 1,
      .opts = {.v6only = true, .freebind = true, .ttl = 2}}},
    {"sctp://h:1?freebind&bind=*:2",
     "",
     {.scheme = SOCKEYE_SCTP,
      .host = "h",
      .has_port = true,
      .port = 1,
      .opts = {.freebind = true, .bind = "*:2"}}},
    {"tcp://h:1?nodelay=0&keepalive=no", "tcp://h:1", {.host = "h", .has_port = true, .port = 1}},
    {"tcp://h:1/?ttl=255&backlog=65535&rcvbuf=64k&sndbuf=64Ki",
     "tcp://h:1?ttl=255&backlog=65535&rcvbuf=64000&sndbuf=65536",
     {.host = "h",
      .has_port = true,
      .port = 1,
      .opts = {.ttl = 255, .backlog = 65535, .rcvbuf = 64000, .sndbuf = 65536}}},
    {"udp://h:1?broadcast&rcvbuf=2147483647",
     "",
     {.scheme = SOCKEYE_UDP,
      .host = "h",
      .has_port = true,
      .port = 1,
      .opts = {.broadcast = true, .rcvbuf = 2147483647}}},
    {"udp://239.1.2.3:1?interface=eth0.7&source=192.0.2.1",
     "",
     {.scheme = SOCKEYE_UDP,
      .host = "239.1.2.3",
      .has_port = true,
      .port = 1,
      .opts = {.interface = "eth0.7", .source = "192.0.2.1"}}},
    {"udp://[ff15::7]:1?source=2001:db8::1&interface=2",
     "udp://[ff15::7]:1?interface=2&source=2001:db8::1",
     {.scheme = SOCKEYE_UDP,
      .host = "ff15::7",
      .has_port = true,
      .port = 1,
      .opts = {.interface = "2", .source = "2001:db8::1"}}},
    {"unix:/x?mode=660",
     "unix:/x?mode=0660",
     {.scheme = SOCKEYE_UNIX,
      .path_len = 2,
      .path = "/x",
      .opts = {.has_mode = true, .mode = 0660}}},
    {"tcp://h:1?bind=127.0.0.1",
     "",
     {.host = "h", .has_port = true, .port = 1, .opts.bind = "127.0.0.1"}},
    {"tcp://h:1?bind=[fe80::1%lo]:5000",
     "",
     {.host = "h", .has_port = true, .port = 1, .opts.bind = "[fe80::1%lo]:5000"}},
    {"tcp://h:1?bind=*:5000",
     "",
     {.host = "h", .has_port = true, .port = 1, .opts.bind = "*:5000"}},
    {"unix:/x?bind=/a b%26%25\xff",
     "unix:/x?bind=/a%20b%26%25%FF",
     {.scheme = SOCKEYE_UNIX, .path_len = 2, .path = "/x", .opts.bind = "/a b&%\xff"}},
    {"unix:@x?bind=@" A100 "aaaaaaa",
     "",
     {.scheme = SOCKEYE_UNIX,
      .abstract = true,
      .path_len = 1,
      .path = "x",
      .opts.bind = "@" A100 "aaaaaaa"}},
    {"unix-dgram:/x?bind=@me",
     "",
     {.scheme = SOCKEYE_UNIX_DGRAM, .path_len = 2, .path = "/x", .opts.bind = "@me"}},
};

static void test_valid(void **state)
{
	char printed[1024];

	(void)state;
	FOR_ROWS(i, valid, "%s", valid[i].text) {
		const char *want = valid[i].printed[0] ? valid[i].printed : valid[i].text;
		struct sockeye_addr addr, again;
		struct sockeye_fail why = {0};

		if (sockeye_addr_parse(valid[i].text, &addr, &why) != 0)
			fail_msg("%s: %s (%s)", valid[i].text, sockeye_error_text(why.err),
				 why.detail);
		if (!same_addr(&addr, &valid[i].want))
			fail_msg("%s has another result", valid[i].text);
		assert_int_equal(sockeye_addr_print(&addr, printed, sizeof printed), strlen(want));
		assert_string_equal(printed, want);
		assert_int_equal(sockeye_addr_parse(printed, &again, NULL), 0);
		assert_true(same_addr(&addr, &again));
	}
}

/* The text, the error code, and a part of the advice. */
static const struct {
	const char *text;
	int err;
	const char *advice;
} invalid[] = {
    {"", SOCKEYE_E_SYNTAX, "the port is missing"},
    {"localhost", SOCKEYE_E_SYNTAX, "the port is missing"},
    {"localhost:", SOCKEYE_E_SYNTAX, "the port is missing"},
    {":", SOCKEYE_E_SYNTAX, "the port is missing"},
    {"tcp://", SOCKEYE_E_SYNTAX, "the port is missing"},
    {"[::1]", SOCKEYE_E_SYNTAX, "the port is missing"},
    {"localhost/x:80", SOCKEYE_E_SYNTAX, "the port is missing"},
    {"8080", SOCKEYE_E_SYNTAX, "as :8080"},
    {"::1", SOCKEYE_E_SYNTAX, "[::1]:PORT"},
    {"::", SOCKEYE_E_SYNTAX, "[::]:PORT"},
    {"2001:db8::1", SOCKEYE_E_SYNTAX, "[2001:db8::1]:PORT"},
    {"::1:80", SOCKEYE_E_SYNTAX, "[::1]:80"},
    {"fe80::1%lo:7", SOCKEYE_E_SYNTAX, "[fe80::1%lo]:7"},
    {"udp://fe80::1%lo", SOCKEYE_E_SYNTAX, "[fe80::1%lo]:PORT"},
    {"icmp://::1", SOCKEYE_E_SYNTAX, "brackets: [::1]"},
    {"a:b:c", SOCKEYE_E_SYNTAX, "too many colons"},
    {"127.0.0.1:7:8", SOCKEYE_E_SYNTAX, "too many colons"},
    {"[::1:80", SOCKEYE_E_SYNTAX, "closing bracket is missing"},
    {"[::1]80", SOCKEYE_E_SYNTAX, "may follow the closing bracket"},
    {"[::1]]:80", SOCKEYE_E_SYNTAX, "may follow the closing bracket"},
    {"user@host:80", SOCKEYE_E_SYNTAX, "user name"},
    {"tcp://user:secret@host:80", SOCKEYE_E_SYNTAX, "user name"},
    {"tcp://h:80/index.html", SOCKEYE_E_SYNTAX, "?OPTION may follow"},
    {"tcp://h:80//", SOCKEYE_E_SYNTAX, "?OPTION may follow"},
    {"/run/x.sock", SOCKEYE_E_SYNTAX, "unix:PATH"},
    {"./x.sock", SOCKEYE_E_SYNTAX, "unix:PATH"},
    {"@x", SOCKEYE_E_SYNTAX, "unix:@NAME"},
    {"tcp:h:80", SOCKEYE_E_SYNTAX, "tcp://"},
    {"udp:80", SOCKEYE_E_SYNTAX, "udp://"},
    {"tcp:/h:80", SOCKEYE_E_SYNTAX, "tcp://"},
    {"http://h:80", SOCKEYE_E_SCHEME, "tcp udp unix unix-dgram unix-seqpacket sctp mptcp tftp fd"},
    {"tcp5://h:80", SOCKEYE_E_SCHEME, "tcp4"},
    {"unix4://x", SOCKEYE_E_SCHEME, "unix"},
    {"://h:80", SOCKEYE_E_SCHEME, "tcp"},
    {"4://h:80", SOCKEYE_E_SCHEME, "tcp"},

    {"a b:80", SOCKEYE_E_HOST, "letters"},
    {"a\tb:80", SOCKEYE_E_HOST, "letters"},
    {"a\x1b[1m:80", SOCKEYE_E_HOST, "letters"},
    {"h%00:80", SOCKEYE_E_HOST, "letters"},
    {"gr\xc3\xbcn:80", SOCKEYE_E_HOST, "letters"},
    {"**:80", SOCKEYE_E_HOST, "letters"},
    {"[]:80", SOCKEYE_E_HOST, "IPv6"},
    {"[zz]:80", SOCKEYE_E_HOST, "IPv6"},
    {"[127.0.0.1]:80", SOCKEYE_E_HOST, "IPv6"},
    {"[localhost]:80", SOCKEYE_E_HOST, "IPv6"},
    {"[::1 ]:80", SOCKEYE_E_HOST, "IPv6"},
    {"[::1%]:80", SOCKEYE_E_HOST, "IPv6"},
    {"[::1%a b]:80", SOCKEYE_E_HOST, "IPv6"},
    {"[::1%lo%lo]:80", SOCKEYE_E_HOST, "IPv6"},
    {"[::1%1234567890123456]:80", SOCKEYE_E_HOST, "IPv6"},
    {"[1:2:3:4:5:6:7:8:9]:80", SOCKEYE_E_HOST, "IPv6"},
    {"[0000000000000000000000000000000000000000000000000000000001::]:80", SOCKEYE_E_HOST, "IPv6"},
    {"256.0.0.1:80", SOCKEYE_E_HOST, "IPv4"},
    {"127.1:80", SOCKEYE_E_HOST, "IPv4"},
    {"010.0.0.1:80", SOCKEYE_E_HOST, "IPv4"},
    {"1.2.3.4.5:80", SOCKEYE_E_HOST, "IPv4"},
    {"2130706433:80", SOCKEYE_E_HOST, "IPv4"},
    {A100 A100 A50 "aaaaaa:80", SOCKEYE_E_HOST, "the host has 256 bytes; the limit is 255"},

    {"h:65536", SOCKEYE_E_PORT, "0 to 65535"},
    {"h:99999", SOCKEYE_E_PORT, "0 to 65535"},
    {"h:898989", SOCKEYE_E_PORT, "0 to 65535"},
    {"h:4294967303", SOCKEYE_E_PORT, "0 to 65535"},
    {"h:18446744073709551623", SOCKEYE_E_PORT, "0 to 65535"},
    {"h:-1", SOCKEYE_E_PORT, "0 to 65535"},
    {"h:+7", SOCKEYE_E_PORT, "0 to 65535"},
    {"h:7 ", SOCKEYE_E_PORT, "0 to 65535"},
    {"h: 7", SOCKEYE_E_PORT, "0 to 65535"},
    {"h:80a", SOCKEYE_E_PORT, "service name"},
    {"h:0x50", SOCKEYE_E_PORT, "service name"},
    {"h:-http", SOCKEYE_E_PORT, "service name"},
    {"h:ht\ntp", SOCKEYE_E_PORT, "service name"},
    {"h:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", SOCKEYE_E_PORT, "service name"},
    {"icmp://h:7", SOCKEYE_E_PORT, "icmp has no ports"},

    {"unix:", SOCKEYE_E_PATH, "is missing"},
    {"unix:@", SOCKEYE_E_PATH, "is missing"},
    {"unix:?mode=0600", SOCKEYE_E_PATH, "is missing"},
    {"unix://run/x", SOCKEYE_E_PATH, "has no host"},
    {"unix:/a%00b", SOCKEYE_E_PATH, "NUL"},
    {"unix:/a%", SOCKEYE_E_PATH, "%25"},
    {"unix:/a%4g", SOCKEYE_E_PATH, "%25"},
    {"unix:/a%-1", SOCKEYE_E_PATH, "%25"},
    {"unix:/a\nb", SOCKEYE_E_PATH, "%XX"},
    {"unix:" A100 "aaaaaaaa", SOCKEYE_E_PATH_TOO_LONG, "108 bytes; the limit is 107"},
    {"unix:@" A100 "aaaaaaaa", SOCKEYE_E_PATH_TOO_LONG, "108 bytes; the limit is 107"},
    {"unix-dgram:" A100 A100, SOCKEYE_E_PATH_TOO_LONG, "200 bytes; the limit is 107"},
    {"tftp://h/a%00b", SOCKEYE_E_PATH, "NUL"},
    {"tftp://h/%zz", SOCKEYE_E_PATH, "%25"},
    {"tftp://h/" A100 A100 A50 "aaaaaa", SOCKEYE_E_PATH, "256 bytes; the limit is 255"},
    {"tftp://h/f;mode=mail", SOCKEYE_E_SYNTAX, ";mode=netascii"},
    {"tftp://h/f;", SOCKEYE_E_SYNTAX, ";mode=octet"},
    {"tftp://h/f;mode=octet;mode=octet", SOCKEYE_E_SYNTAX, ";mode=octet"},

    {"fd:", SOCKEYE_E_SYNTAX, "fd:3"},
    {"fd:-1", SOCKEYE_E_SYNTAX, "fd:3"},
    {"fd:3x", SOCKEYE_E_SYNTAX, "fd:3"},
    {"fd://3", SOCKEYE_E_SYNTAX, "fd:3"},
    {"fd:2147483648", SOCKEYE_E_SYNTAX, "fd:3"},

    {"h:1?", SOCKEYE_E_SYNTAX, "an option must follow"},
    {"h:1?&", SOCKEYE_E_SYNTAX, "an option must follow"},
    {"h:1?nodelay&", SOCKEYE_E_SYNTAX, "an option must follow"},
    {"h:1?nodelay&&keepalive", SOCKEYE_E_SYNTAX, "an option must follow"},
    {"h:1?no-delay", SOCKEYE_E_OPTION,
     "tcp has no option \"no-delay\"; it has nodelay keepalive reuseport dontroute v6only "
     "freebind ttl= backlog= rcvbuf= sndbuf= bind="},
    {"h:1?=1", SOCKEYE_E_OPTION, "; it has"},
    {"h:1?mode=0600", SOCKEYE_E_OPTION, "tcp has no option \"mode\""},
    {"unix:/x?ttl=1", SOCKEYE_E_OPTION, "it has mode= backlog= rcvbuf= sndbuf= bind="},
    {"tftp://h/f?freebind", SOCKEYE_E_OPTION, "tftp has no option"},
    {"unix:/x?freebind", SOCKEYE_E_OPTION, "unix has no option"},
    {"udp://h:1?freebind=2", SOCKEYE_E_OPTION_VALUE, "freebind"},
    {"udp://h:1?backlog=1", SOCKEYE_E_OPTION, "udp has no option"},
    {"tcp://h:1?interface=lo", SOCKEYE_E_OPTION, "tcp has no option \"interface\""},
    {"udp://h:1?interface", SOCKEYE_E_OPTION_VALUE, "interface= takes the name or number"},
    {"udp://h:1?interface=", SOCKEYE_E_OPTION_VALUE, "interface= takes the name or number"},
    {"udp://h:1?interface=a234567890123456", SOCKEYE_E_OPTION_VALUE, "interface= takes"},
    {"udp://h:1?interface=a/b", SOCKEYE_E_OPTION_VALUE, "interface= takes"},
    {"udp://h:1?source=[::1]", SOCKEYE_E_OPTION_VALUE, "source= takes an IP address"},
    {"tcp://h:1?broadcast", SOCKEYE_E_OPTION, "tcp has no option"},
    {"fd:3?nodelay", SOCKEYE_E_OPTION, "fd has no options"},
    {"h:1?\x1b[1m", SOCKEYE_E_OPTION, "no option \"\\e[1m\""},
    {"h:1?nodelay&nodelay", SOCKEYE_E_OPTION_VALUE, "nodelay is given twice"},
    {"h:1?ttl=1&ttl=1", SOCKEYE_E_OPTION_VALUE, "ttl is given twice"},
    {"h:1?nodelay=", SOCKEYE_E_OPTION_VALUE, "yes or no"},
    {"h:1?nodelay=maybe", SOCKEYE_E_OPTION_VALUE, "yes or no"},
    {"h:1?nodelay=2", SOCKEYE_E_OPTION_VALUE, "yes or no"},
    {"h:1?ttl", SOCKEYE_E_OPTION_VALUE, "1 to 255"},
    {"h:1?ttl=", SOCKEYE_E_OPTION_VALUE, "1 to 255"},
    {"h:1?ttl=0", SOCKEYE_E_OPTION_VALUE, "1 to 255"},
    {"h:1?ttl=256", SOCKEYE_E_OPTION_VALUE, "1 to 255"},
    {"h:1?ttl=1x", SOCKEYE_E_OPTION_VALUE, "1 to 255"},
    {"h:1?backlog=0", SOCKEYE_E_OPTION_VALUE, "1 to 65535"},
    {"h:1?backlog=65536", SOCKEYE_E_OPTION_VALUE, "1 to 65535"},
    {"h:1?rcvbuf=0", SOCKEYE_E_OPTION_VALUE, "64Ki"},
    {"h:1?rcvbuf=64K", SOCKEYE_E_OPTION_VALUE, "64Ki"},
    {"h:1?sndbuf=2147483648", SOCKEYE_E_OPTION_VALUE, "64Ki"},
    {"h:1?sndbuf=99999999999999999999", SOCKEYE_E_OPTION_VALUE, "64Ki"},
    {"unix:/x?mode=1000", SOCKEYE_E_OPTION_VALUE, "0777"},
    {"unix:/x?mode=0680", SOCKEYE_E_OPTION_VALUE, "0777"},
    {"unix:/x?mode=rw", SOCKEYE_E_OPTION_VALUE, "0777"},
    {"h:1?bind=", SOCKEYE_E_OPTION_VALUE, "HOST[:PORT]"},
    {"h:1?bind=h:", SOCKEYE_E_OPTION_VALUE, "HOST[:PORT]"},
    {"h:1?bind=::1", SOCKEYE_E_OPTION_VALUE, "HOST[:PORT]"},
    {"h:1?bind=h:99999", SOCKEYE_E_OPTION_VALUE, "HOST[:PORT]"},
    {"h:1?bind=a b", SOCKEYE_E_OPTION_VALUE, "HOST[:PORT]"},
    {"h:1?bind=" A100 "aaaaaaaaa", SOCKEYE_E_OPTION_VALUE, "HOST[:PORT]"},
    {"unix:/x?bind=@", SOCKEYE_E_OPTION_VALUE, "@NAME"},
    {"unix:/x?bind=", SOCKEYE_E_OPTION_VALUE, "@NAME"},
    {"unix:/x?bind=@" A100 "aaaaaaaa", SOCKEYE_E_OPTION_VALUE, "@NAME"},
    {"unix:/x?bind=/%zz", SOCKEYE_E_OPTION_VALUE, "@NAME"},
    {"unix:/x?bind=/%00", SOCKEYE_E_OPTION_VALUE, "@NAME"},
    {"unix:/x?bind=" A100 "aaaaaaaa", SOCKEYE_E_OPTION_VALUE, "@NAME"},
    {"unix:/x?bind=a\nb", SOCKEYE_E_OPTION_VALUE, "@NAME"},
};

static void test_invalid(void **state)
{
	(void)state;
	FOR_ROWS(i, invalid, "%s", invalid[i].text) {
		struct sockeye_addr addr, before;
		struct sockeye_fail why = {0};
		int err;

		memset(&addr, 0x5a, sizeof addr);
		before = addr;
		err = sockeye_addr_parse(invalid[i].text, &addr, &why);
		if (err != invalid[i].err)
			fail_msg("%s gives %s, not %s", invalid[i].text, sockeye_error_name(err),
				 sockeye_error_name(invalid[i].err));
		assert_memory_equal(&addr, &before, sizeof addr);
		assert_int_equal(why.err, err);
		assert_string_equal(why.op, "parse address");
		assert_int_equal(sockeye_error_exit(err), SOCKEYE_EXIT_USAGE);
		if (strstr(why.detail, invalid[i].advice) == NULL)
			fail_msg("%s: \"%s\" does not say \"%s\"", invalid[i].text, why.detail,
				 invalid[i].advice);
		assert_int_equal(sockeye_addr_parse(invalid[i].text, &addr, NULL), err);
	}
}

/* Even the longest advice fits in its field. */
static void test_long_advice(void **state)
{
	struct sockeye_addr addr;
	struct sockeye_fail why;

	(void)state;
	sockeye_addr_parse("http://", &addr, &why);
	assert_string_equal(why.detail + strlen(why.detail) - 4, "tcp4");
	sockeye_addr_parse("tcp://h:1?" A100, &addr, &why);
	assert_non_null(strstr(why.detail, "bind="));
	sockeye_addr_parse("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%123456789012345:65535",
			   &addr, &why);
	assert_string_equal(
	    why.detail, "write an IPv6 address in brackets: "
			"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%123456789012345]:65535");
	for (size_t len = 1; len < 600; len++) {
		char text[601];

		memset(text, '\x01', len);
		text[len] = '\0';
		assert_true(sockeye_addr_parse(text, &addr, &why) < 0);
		assert_int_equal(strlen(why.address), len < 79 ? len * 4 : 316);
	}
}

static void test_print_cut(void **state)
{
	static const char whole[] = "unix:/a%20b?mode=0600";
	struct sockeye_addr addr;
	char buf[64];

	(void)state;
	assert_int_equal(sockeye_addr_parse(whole, &addr, NULL), 0);
	for (size_t cap = 1; cap < sizeof buf; cap++) {
		memset(buf, '#', sizeof buf);
		assert_int_equal(sockeye_addr_print(&addr, buf, cap), sizeof whole - 1);
		assert_true(strlen(buf) < cap);
		assert_memory_equal(buf, whole, strlen(buf));
		assert_int_equal(buf[cap], '#');
	}
	assert_int_equal(sockeye_addr_print(&addr, NULL, 0), sizeof whole - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_valid),
	    cmocka_unit_test(test_invalid),
	    cmocka_unit_test(test_long_advice),
	    cmocka_unit_test(test_print_cut),

	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
