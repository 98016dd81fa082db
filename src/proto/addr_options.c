/*
 * addr_options.c: what may stand behind '?', as one table that reads, prints
 * and explains.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sockeye/addr.h>
#include <sockeye/text.h>

#include "proto/addr_parts.h"

enum option_kind {
	FLAG,   /* bool */
	NUMBER, /* uint32_t, not 0 */
	OCTET,  /* uint8_t, not 0 */
	SIZE,   /* uint32_t octets */
	MODE,   /* has_mode and mode */
	LOCAL,  /* bind */
};

#define FLAG_TAKES "yes or no, 1 or 0"
#define SIZE_TAKES "octets, as in 65536, 64k or 64Ki"

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
    {"mode", MODE, FIELD(mode), UNIXES, 0777, "octal permissions up to 0777"},
    {"ttl", OCTET, FIELD(ttl), INETS, UINT8_MAX, "1 to 255"},
    {"backlog", NUMBER, FIELD(backlog), STREAMS, UINT16_MAX, "1 to 65535"},
    {"rcvbuf", SIZE, FIELD(rcvbuf), INETS | UNIXES, INT_MAX, SIZE_TAKES},
    {"sndbuf", SIZE, FIELD(sndbuf), INETS | UNIXES, INT_MAX, SIZE_TAKES},
    {"bind", LOCAL, FIELD(bind), INETS | UNIXES, 0,
     "HOST[:PORT], with IPv6 in brackets, or a UNIX path or @NAME"},
};

#define OPTIONS (sizeof options / sizeof options[0])

/* The option of that name that this scheme has. */
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
		return sockeye__addr_fail(r, SOCKEYE_E_OPTION, "%s takes no options", scheme);
	return sockeye__addr_fail(r, SOCKEYE_E_OPTION, "%s: %s takes%s", shown, scheme, known);
}

static bool flag_parse(const char *text, uint64_t *out_value)
{
	bool yes = strcmp(text, "yes") == 0 || strcmp(text, "1") == 0;

	*out_value = yes;
	return yes || strcmp(text, "no") == 0 || strcmp(text, "0") == 0;
}

/* A local address is kept as written: only whether it can be one is seen here. */
static bool local_valid(enum sockeye_scheme scheme, struct sockeye__slice text)
{
	/* a scheme whose port may be missing */
	struct sockeye__reader local = {.addr.scheme = SOCKEYE_TFTP};

	if (!sockeye_scheme_is_unix(scheme))
		return text.at[text.len - 1] != ':' && sockeye__addr_host_port(&local, text) == 0;
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f)
			return false;
	return text.at[0] != '@' || text.len > 1;
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
	case OCTET:
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
	char copy[sizeof r->addr.opts.bind] = "";
	uint64_t value;

	if (text.len == 0 || text.len >= sizeof copy)
		return false;
	memcpy(copy, text.at, text.len);
	if (o->kind == LOCAL) {
		memcpy(r->addr.opts.bind, copy, sizeof copy);
		return local_valid(r->addr.scheme, text);
	}
	if (!number_parse(o, text, copy, &value) || value > o->max || (value == 0 && !zero_allowed))
		return false;
	number_set(o, value, &r->addr.opts);
	return true;
}

/* NAME=VALUE, or NAME for a flag */
static int item_read(struct sockeye__reader *r, struct sockeye__slice item, unsigned *seen)
{
	const char *equals = memchr(item.at, '=', item.len);
	struct sockeye__slice name = item, value = {0};
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
						  "an option is missing behind '?' or '&'");
		err = item_read(r, item, &seen);
		if (err < 0 || text[item.len] == '\0')
			return err;
		text += item.len + 1;
	}
}

/* The value as it is written behind '=', "" for a flag; false when the option
 * is not given. */
static bool value_print(const struct option *o, const struct sockeye_addr_opts *opts, char *buf,
			size_t cap)
{
	const void *field = (const char *)opts + o->field;
	uint32_t v;

	switch (o->kind) {
	case FLAG:
		*buf = '\0';
		return *(const bool *)field;
	case LOCAL:
		snprintf(buf, cap, "=%s", opts->bind);
		return opts->bind[0] != '\0';
	case MODE:
		snprintf(buf, cap, "=%04o", opts->mode & 07777u);
		return opts->has_mode;
	default:
		v = o->kind == OCTET ? *(const uint8_t *)field : *(const uint32_t *)field;
		snprintf(buf, cap, "=%" PRIu32, v);
		return v != 0;
	}
}

void sockeye__addr_options_print(const struct sockeye_addr_opts *opts, struct sockeye__out *out)
{
	char value[sizeof opts->bind + 1], mark[] = "?";

	for (size_t i = 0; i < OPTIONS; i++) {
		if (!value_print(&options[i], opts, value, sizeof value))
			continue;
		sockeye__out_text(out, mark);
		sockeye__out_text(out, options[i].name);
		sockeye__out_text(out, value);
		mark[0] = '&';
	}
}
