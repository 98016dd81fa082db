/*
 * addr_options.c: the options after '?', as one table that is used to parse, print
 * and explain them.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <sockeye/addr.h>
#include <sockeye/text.h>

#include "base/ascii.h"
#include "base/number.h"
#include "proto/addr_internal.h"
#include "proto/percent.h"

enum option_kind {
	FLAG,   /* bool */
	NUMBER, /* uint32_t, not 0 */
	BYTE,   /* uint8_t, not 0 */
	SIZE,   /* uint32_t bytes, not 0 */
	MODE,   /* has_mode and mode */
	LOCAL,  /* bind */
	WORD,   /* char[]: at most `max` letters, digits and signs of a name or address */
};

#define FLAG_TAKES "yes or no, 1 or 0"
#define SIZE_TAKES "bytes, as in 65536, 64k or 64Ki"

#define ON(scheme) (1u << SOCKEYE_##scheme)

enum {
	TCPS = ON(TCP) | ON(MPTCP) | ON(TLS),
	PORTS = TCPS | ON(UDP) | ON(SCTP) | ON(TFTP),
	INETS = PORTS | ON(ICMP),
	UNIXES = ON(UNIX) | ON(UNIX_DGRAM) | ON(UNIX_SEQPACKET),
	STREAMS = TCPS | ON(SCTP) | ON(UNIX) | ON(UNIX_SEQPACKET),
};

#define FIELD(name) offsetof(struct sockeye_addr_opts, name)

static const struct option {
	const char *name;
	enum option_kind kind;
	size_t field;
	unsigned schemes;
	uint32_t max;
	const char *takes;
} options[] = {
    {"nodelay", FLAG, FIELD(nodelay), TCPS, 1, FLAG_TAKES},
    {"keepalive", FLAG, FIELD(keepalive), TCPS | ON(SCTP), 1, FLAG_TAKES},
    {"reuseport", FLAG, FIELD(reuseport), PORTS, 1, FLAG_TAKES},
    {"broadcast", FLAG, FIELD(broadcast), ON(UDP), 1, FLAG_TAKES},
    {"dontroute", FLAG, FIELD(dontroute), INETS, 1, FLAG_TAKES},
    {"v6only", FLAG, FIELD(v6only), PORTS, 1, FLAG_TAKES},
    {"freebind", FLAG, FIELD(freebind), PORTS & ~ON(TFTP), 1, FLAG_TAKES},
    {"mode", MODE, FIELD(mode), UNIXES, 0777, "octal permissions up to 0777"},
    {"ttl", BYTE, FIELD(ttl), INETS, UINT8_MAX, "1 to 255"},
    {"backlog", NUMBER, FIELD(backlog), STREAMS, UINT16_MAX, "1 to 65535"},
    {"rcvbuf", SIZE, FIELD(rcvbuf), INETS | UNIXES, INT_MAX, SIZE_TAKES},
    {"sndbuf", SIZE, FIELD(sndbuf), INETS | UNIXES, INT_MAX, SIZE_TAKES},
    {"interface", WORD, FIELD(interface), ON(UDP), 15, "the name or number of an interface"},
    {"source", WORD, FIELD(source), ON(UDP), 45, "an IP address without brackets"},
    {"bind", LOCAL, FIELD(bind), INETS | UNIXES, 0,
     "HOST[:PORT], with IPv6 in brackets, or a UNIX path or @NAME"},
};

#define OPTIONS (sizeof options / sizeof options[0])

/* Returns the scheme's option with this name, or NULL. */
static const struct option *option_find(enum sockeye_scheme scheme, struct sockeye__slice name)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if ((options[i].schemes >> scheme & 1) != 0 &&
		    strlen(options[i].name) == name.len &&
		    memcmp(options[i].name, name.at, name.len) == 0)
			return &options[i];
	return NULL;
}

static int unknown_fail(const struct sockeye__reader *r, struct sockeye__slice name)
{
	const char *scheme = sockeye_scheme_name(r->addr.scheme);
	char known[112], shown[24];
	struct sockeye__out out = sockeye__out_to(known, sizeof known);

	sockeye_escape(name.at, name.len, shown, sizeof shown);
	for (size_t i = 0; i < OPTIONS; i++) {
		if ((options[i].schemes >> r->addr.scheme & 1) == 0)
			continue;
		sockeye__out_text(&out, " ");
		sockeye__out_text(&out, options[i].name);
		sockeye__out_text(&out, options[i].kind == FLAG ? "" : "=");
	}
	if (out.len == 0)
		return sockeye__addr_fail(r, SOCKEYE_E_OPTION,
					  "%s has no options; remove the question mark", scheme);
	return sockeye__addr_fail(r, SOCKEYE_E_OPTION, "%s has no option \"%s\"; it has%s", scheme,
				  shown, known);
}

static bool flag_parse(const char *text, uint64_t *out_value)
{
	bool yes = strcmp(text, "yes") == 0 || strcmp(text, "1") == 0;

	*out_value = yes;
	return yes || strcmp(text, "no") == 0 || strcmp(text, "0") == 0;
}

/* Parses the value of bind=. Stores the text after checking that it can be an
 * address. */
static bool local_read(struct sockeye__reader *r, struct sockeye__slice text)
{
	/* The port of bind= is optional, like the port of a TFTP address. */
	struct sockeye__reader local = {.addr.scheme = SOCKEYE_TFTP};
	char *bind = r->addr.opts.bind;
	size_t max = sizeof r->addr.opts.bind - 1;
	ssize_t len;

	if (sockeye_scheme_is_unix(r->addr.scheme)) {
		len = sockeye__percent_decode(text, bind, max);
		if (len <= 0 || len > (ssize_t)max || memchr(bind, '\0', (size_t)len) != NULL)
			return false;
		len -= bind[0] == '@';
		return len > 0 && len <= SOCKEYE_UNIX_PATH_MAX;
	}
	if (text.len == 0 || text.len > max || text.at[text.len - 1] == ':' ||
	    sockeye__addr_host_port(&local, text) < 0)
		return false;
	memcpy(bind, text.at, text.len);
	return true;
}

static bool word_read(const struct option *o, struct sockeye__slice text,
		      struct sockeye_addr_opts *opts)
{
	static const char signs[] = ".:_-@+";

	if (text.len == 0 || text.len > o->max)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!sockeye__ascii_is_letter(text.at[i]) && !sockeye__ascii_is_digit(text.at[i]) &&
		    strchr(signs, text.at[i]) == NULL)
			return false;
	memcpy((char *)opts + o->field, text.at, text.len); /* the field was zeroed */
	return true;
}

static bool number_parse(const struct option *o, struct sockeye__slice text, const char *copy,
			 uint64_t *out_value)
{
	switch (o->kind) {
	case FLAG:
		return flag_parse(copy, out_value);
	case SIZE:
		return sockeye_size_parse(copy, out_value) == 0;
	default:
		return sockeye__number_parse(text, o->kind == MODE ? 8 : 10, o->max, out_value) ==
		       0;
	}
}

static void number_set(const struct option *o, uint64_t value, struct sockeye_addr_opts *opts)
{
	void *field = (char *)opts + o->field;

	switch (o->kind) {
	case FLAG:
		*(bool *)field = value != 0;
		break;
	case BYTE:
		*(uint8_t *)field = (uint8_t)value;
		break;
	case MODE:
		opts->has_mode = true;
		*(uint16_t *)field = (uint16_t)value;
		break;
	default:
		*(uint32_t *)field = (uint32_t)value;
	}
}

static bool value_read(struct sockeye__reader *r, const struct option *o,
		       struct sockeye__slice text)
{
	bool zero_allowed = o->kind == FLAG || o->kind == MODE;
	char copy[32] = "";
	uint64_t value;

	if (o->kind == LOCAL)
		return local_read(r, text);
	if (o->kind == WORD)
		return word_read(o, text, &r->addr.opts);
	if (text.len >= sizeof copy)
		return false;
	memcpy(copy, text.at, text.len);
	if (!number_parse(o, text, copy, &value) || value > o->max || (value == 0 && !zero_allowed))
		return false;
	number_set(o, value, &r->addr.opts);
	return true;
}

/* Parses NAME=VALUE, or NAME for a flag. */
static int item_read(struct sockeye__reader *r, struct sockeye__slice item, unsigned *seen)
{
	const char *equals = memchr(item.at, '=', item.len);
	struct sockeye__slice name = item, value = {item.at, 0};
	const struct option *o;

	if (equals != NULL) {
		name.len = (size_t)(equals - item.at);
		value = (struct sockeye__slice){equals + 1, item.len - name.len - 1};
	}
	o = option_find(r->addr.scheme, name);
	if (o == NULL)
		return unknown_fail(r, name);
	if ((*seen >> (o - options) & 1) != 0)
		return sockeye__addr_fail(r, SOCKEYE_E_OPTION_VALUE, "%s is given twice", o->name);
	*seen |= 1u << (o - options);
	if (equals == NULL && o->kind == FLAG)
		value = (struct sockeye__slice){"yes", 3};
	if (!value_read(r, o, value))
		return sockeye__addr_fail(r, SOCKEYE_E_OPTION_VALUE, "%s= takes %s", o->name,
					  o->takes);
	return 0;
}

int sockeye__addr_options_parse(struct sockeye__reader *r, const char *text)
{
	unsigned seen = 0;

	for (;;) {
		struct sockeye__slice item = {text, strcspn(text, "&")};
		int err;

		if (item.len == 0)
			return sockeye__addr_fail(r, SOCKEYE_E_SYNTAX,
						  "an option must follow '?' and each '&'");
		err = item_read(r, item, &seen);
		if (err < 0 || text[item.len] == '\0')
			return err;
		text += item.len + 1;
	}
}

static uint32_t number_get(const struct option *o, const struct sockeye_addr_opts *opts)
{
	const void *field = (const char *)opts + o->field;

	switch (o->kind) {
	case FLAG:
		return *(const bool *)field;
	case BYTE:
		return *(const uint8_t *)field;
	case MODE:
		return *(const uint16_t *)field;
	default:
		return *(const uint32_t *)field;
	}
}

static bool is_given(const struct option *o, const struct sockeye_addr_opts *opts)
{
	if (o->kind == LOCAL)
		return opts->bind[0] != '\0';
	if (o->kind == WORD)
		return *((const char *)opts + o->field) != '\0';
	return o->kind == MODE ? opts->has_mode : number_get(o, opts) != 0;
}

static void value_print(const struct option *o, const struct sockeye_addr *addr,
			struct sockeye__out *out)
{
	const char *bind = addr->opts.bind;
	char number[16];

	if (o->kind == FLAG)
		return;
	sockeye__out_text(out, "=");
	if (o->kind == LOCAL && sockeye_scheme_is_unix(addr->scheme)) {
		sockeye__percent_encode(bind, strlen(bind), "%&", out);
	} else if (o->kind == LOCAL) {
		sockeye__out_text(out, bind);
	} else if (o->kind == WORD) {
		sockeye__out_text(out, (const char *)&addr->opts + o->field);
	} else {
		snprintf(number, sizeof number, o->kind == MODE ? "%04" PRIo32 : "%" PRIu32,
			 number_get(o, &addr->opts));
		sockeye__out_text(out, number);
	}
}

void sockeye__addr_options_print(const struct sockeye_addr *addr, struct sockeye__out *out)
{
	char mark[] = "?";

	for (size_t i = 0; i < OPTIONS; i++) {
		if (!is_given(&options[i], &addr->opts))
			continue;
		sockeye__out_text(out, mark);
		sockeye__out_text(out, options[i].name);
		value_print(&options[i], addr, out);
		mark[0] = '&';
	}
}
