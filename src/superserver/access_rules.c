/* access_rules.c: the address lists of xinetd's language (access_rules.h). Pure. */
#include "superserver/access_rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/number.h"
#include "superserver/conf_notes.h"

/* A word and its reader. */
struct parse {
	struct sockeye__slice word;
	bool compat;
	struct sockeye__access_rule *out;
	char *why;
};

__attribute__((format(printf, 2, 3))) static void say(const struct parse *p, const char *fmt, ...)
{
	int len =
	    snprintf(p->why, SOCKEYE__ACCESS_WHY_MAX, "'%s'", sockeye__conf_show(p->word).text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(p->why + len, SOCKEYE__ACCESS_WHY_MAX - (size_t)len, fmt, args);
	va_end(args);
}

/* Reads a word that is not an address. xinetd ignores it, so that a no_access list would let the
 * client in. */
static int unreadable(const struct parse *p)
{
	if (!p->compat)
		return -EINVAL;
	p->out[0] =
	    (struct sockeye__access_rule){.kind = SOCKEYE__ACCESS_UNREADABLE, .name = p->word.at};
	return 1;
}

/* Reads a part of inet_aton(3): decimal, octal after 0, or hexadecimal after 0x. */
static int part_parse(struct sockeye__slice text, uint64_t *out)
{
	uint64_t value = 0;

	if (text.len < 2 || text.at[0] != '0')
		return sockeye__number_parse(text, 10, UINT32_MAX, out);
	if (sockeye__ascii_lower(text.at[1]) != 'x')
		return sockeye__number_parse(text, 8, UINT32_MAX, out);
	for (size_t i = 2; i < text.len; i++) {
		char c = sockeye__ascii_lower(text.at[i]);

		if (!sockeye__ascii_is_digit(c) && (c < 'a' || c > 'f'))
			return -EINVAL;
		value = 16 * value + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
		if (value > UINT32_MAX)
			return -ERANGE;
	}
	*out = value;
	return text.len > 2 ? 0 : -EINVAL;
}

/* An IPv4 address in a form of inet_aton(3). */
struct ipv4 {
	uint32_t address;
	bool plain; /* four decimal parts without leading zeros */
};

static bool is_plain(struct sockeye__slice part)
{
	return part.len == 1 || part.at[0] != '0';
}

static int ipv4_parse(struct sockeye__slice text, struct ipv4 *out)
{
	const char *end = text.at + text.len;
	uint32_t address = 0;
	bool plain = true;
	unsigned parts = 0;

	for (;;) {
		const char *dot = memchr(text.at, '.', (size_t)(end - text.at));
		struct sockeye__slice part = {text.at, (size_t)((dot ? dot : end) - text.at)};
		unsigned shift = 24 - 8 * parts;
		uint64_t value;

		/* The last part fills all bytes that are left. */
		if (parts == 4 || part_parse(part, &value) < 0 ||
		    value > (dot ? 0xff : UINT64_C(0xffffffff) >> (8 * parts)))
			return -EINVAL;
		address |= (uint32_t)(dot ? value << shift : value);
		plain = plain && is_plain(part);
		parts++;
		if (dot == NULL)
			break;
		text.at = dot + 1;
	}
	*out = (struct ipv4){address, plain && parts == 4};
	return 0;
}

static struct sockeye__access_rule net_of(uint32_t address, unsigned bits)
{
	struct sockeye__access_rule rule = {.kind = SOCKEYE__ACCESS_NET};
	uint32_t kept = bits == 0 ? 0 : address & (UINT32_MAX << (32 - bits));

	for (unsigned i = 0; i < 4; i++)
		rule.net.net.bytes[i] = (uint8_t)(kept >> (24 - 8 * i));
	rule.net.net.len = 4;
	rule.net.bits = (uint8_t)bits;
	return rule;
}

/* Writes the dotted form. */
static const char *dotted(uint32_t address, char buf[static 16])
{
	snprintf(buf, 16, "%u.%u.%u.%u", address >> 24, (address >> 16) & 0xff,
		 (address >> 8) & 0xff, address & 0xff);
	return buf;
}

/* Reads an IPv4 address; its bytes of 0 at the end match any byte. */
static int address_parse(const struct parse *p, const struct ipv4 *ipv4)
{
	unsigned bits = 32;
	char shown[16];

	while (bits > 0 && (ipv4->address >> (32 - bits) & 0xff) == 0)
		bits -= 8;
	if (!ipv4->plain) {
		say(p, " is the address %s, not a prefix: write four decimal parts",
		    dotted(ipv4->address, shown));
		if (!p->compat)
			return -EINVAL;
	}
	p->out[0] = net_of(ipv4->address, bits);
	return 1;
}

/* Reads ADDRESS/BITS of IPv4 as xinetd does: up to 32 bits count, and the bits after the
 * prefix do not. */
static int loose_prefix_parse(const struct parse *p, struct sockeye__slice host,
			      struct sockeye__slice bits_text)
{
	struct ipv4 ipv4;
	uint64_t bits;

	if (ipv4_parse(host, &ipv4) < 0 ||
	    sockeye__number_parse(bits_text, 10, UINT32_MAX, &bits) < 0)
		return -EINVAL;
	p->out[0] = net_of(ipv4.address, (unsigned)sockeye__least(bits, 32));
	return 1;
}

/* Reads an address or a prefix into the first rule. Returns 0, or -EINVAL with the reason. */
static int net_parse(const struct parse *p)
{
	p->out[0] = (struct sockeye__access_rule){.kind = SOCKEYE__ACCESS_NET};
	if (sockeye__rules_clients_parse(p->word, &p->out[0].net, p->why) == 0) {
		*p->why = '\0';
		return 0;
	}
	if (p->why[strlen(p->why) - 1] == '*') /* which means all clients in other rules */
		say(p, " is not an address or a prefix");
	return -EINVAL;
}

static int prefix_parse(const struct parse *p, const char *slash)
{
	struct sockeye__slice host = {p->word.at, (size_t)(slash - p->word.at)};
	struct sockeye__slice bits = {slash + 1, p->word.len - host.len - 1};
	struct ipv4 ipv4;
	char shown[16];

	if (net_parse(p) == 0)
		return 1;
	if (ipv4_parse(host, &ipv4) == 0 && !ipv4.plain)
		say(p, " is a prefix of %s: write four decimal parts, as in 10.0.0.0/8",
		    dotted(ipv4.address, shown));
	if (p->compat && loose_prefix_parse(p, host, bits) > 0)
		return 1;
	return unreadable(p);
}

/* Reads the numbers before a {, as in "10.1.", into the upper bytes of *out. Returns their
 * number, or -EINVAL. */
static int bytes_parse(const char *at, const char *brace, uint32_t *out)
{
	int count = 0;

	*out = 0;
	while (at < brace) {
		const char *dot = memchr(at, '.', (size_t)(brace - at));
		uint64_t value;

		if (dot == NULL || count == 3 ||
		    sockeye__number_parse((struct sockeye__slice){at, (size_t)(dot - at)}, 10, 255,
					  &value) < 0)
			return -EINVAL;
		*out |= (uint32_t)value << (24 - 8 * count++);
		at = dot + 1;
	}
	return count;
}

/* Reads 10.1.{2,3}: each item is a prefix that ends with its byte. */
static int factorised_parse(const struct parse *p, const char *brace)
{
	const char *end = p->word.at + p->word.len - 1, *at = brace + 1;
	uint32_t bytes;
	int depth = bytes_parse(p->word.at, brace, &bytes), count = 0;

	if (depth < 0 || *end != '}') {
		say(p, ": write numbers with dots before { and numbers in it, without blanks: "
		       "10.1.{2,3}");
		return -EINVAL;
	}
	for (;;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma ? comma : end;
		uint64_t value;

		if (count == SOCKEYE__ACCESS_WORD_MAX) {
			say(p, " has more than %d items", SOCKEYE__ACCESS_WORD_MAX);
			return -EINVAL;
		}
		if (sockeye__number_parse((struct sockeye__slice){at, (size_t)(stop - at)}, 10, 255,
					  &value) < 0) {
			say(p, ": the items in { } are numbers from 0 to 255");
			return -EINVAL;
		}
		p->out[count++] =
		    net_of(bytes | (uint32_t)value << (24 - 8 * depth), 8 * ((unsigned)depth + 1));
		if (comma == NULL)
			return count;
		at = comma + 1;
	}
}

static int ipv6_parse(const struct parse *p)
{
	static const uint8_t none[16];

	if (net_parse(p) < 0)
		return unreadable(p);
	if (memcmp(p->out[0].net.net.bytes, none, sizeof none) != 0 || p->out[0].net.net.len != 16)
		return 1;
	say(p, " is one address, which no client has: write ::/0 for every IPv6 client");
	return p->compat ? 1 : -EINVAL;
}

/* Whether the word may be the name of a host or domain; digits and dots alone are not. */
static bool is_name(struct sockeye__slice word)
{
	bool letter = false;

	for (size_t i = 0; i < word.len; i++) {
		char c = word.at[i];

		letter = letter || sockeye__ascii_is_letter(c);
		if (!sockeye__ascii_is_letter(c) && !sockeye__ascii_is_digit(c) &&
		    (c == '\0' || strchr("._-", c) == NULL))
			return false;
		if (c == '.' && i > 0 && word.at[i - 1] == '.')
			return false;
	}
	return letter && word.len <= 255;
}

static int name_parse(const struct parse *p)
{
	if (!is_name(p->word)) {
		say(p, *p->word.at == '#'
			   ? ": # begins a comment only at the start of a line: put the comment on "
			     "its own line"
			   : " is not an address, prefix, host, domain or network");
		return unreadable(p);
	}
	p->out[0] = (struct sockeye__access_rule){
	    .kind = *p->word.at == '.' ? SOCKEYE__ACCESS_DOMAIN : SOCKEYE__ACCESS_NAME,
	    .name = p->word.at,
	};
	return 1;
}

int sockeye__access_parse(struct sockeye__slice word, bool compat,
			  struct sockeye__access_rule out[static SOCKEYE__ACCESS_WORD_MAX],
			  char why[static SOCKEYE__ACCESS_WHY_MAX])
{
	struct parse p = {word, compat, out, why};
	const char *slash = memchr(word.at, '/', word.len), *brace = memchr(word.at, '{', word.len);
	struct ipv4 ipv4;

	*why = '\0';
	if (brace != NULL)
		return factorised_parse(&p, brace);
	if (memchr(word.at, ',', word.len) != NULL) {
		say(&p, ": separate addresses with blanks, not with commas");
		return -EINVAL;
	}
	if (slash != NULL)
		return prefix_parse(&p, slash);
	if (memchr(word.at, ':', word.len) != NULL)
		return ipv6_parse(&p);
	if (ipv4_parse(word, &ipv4) == 0)
		return address_parse(&p, &ipv4);
	return name_parse(&p);
}

bool sockeye__access_same(const struct sockeye__access_rule *a,
			  const struct sockeye__access_rule *b)
{
	size_t i = 0;

	if (a->kind != b->kind)
		return false;
	if (a->kind == SOCKEYE__ACCESS_NET)
		return a->net.bits == b->net.bits && a->net.net.len == b->net.net.len &&
		       memcmp(a->net.net.bytes, b->net.net.bytes, a->net.net.len) == 0;
	while (a->name[i] != '\0' &&
	       sockeye__ascii_lower(a->name[i]) == sockeye__ascii_lower(b->name[i]))
		i++;
	return a->name[i] == b->name[i];
}

enum match { NO, YES, UNKNOWN };

static enum match rule_match(const struct sockeye__access_rule *rule, bool unreadable_matches,
			     const struct sockeye__rules_client *client,
			     const struct sockeye__access_lookup *lookup)
{
	int is;

	if (rule->kind == SOCKEYE__ACCESS_NET)
		return sockeye__rules_clients_match(&rule->net, 1, client) ? YES : NO;
	if (rule->kind == SOCKEYE__ACCESS_UNREADABLE)
		return unreadable_matches ? YES : NO;
	is = lookup != NULL ? lookup->is(lookup->context, rule, client) : -EAGAIN;
	return is < 0 ? UNKNOWN : is > 0 ? YES : NO;
}

static enum match list_match(const struct sockeye__access_list *list, bool unreadable_matches,
			     const struct sockeye__rules_client *client,
			     const struct sockeye__access_lookup *lookup)
{
	enum match found = NO;

	for (size_t i = 0; i < list->count && found != YES; i++) {
		enum match match = rule_match(&list->rules[i], unreadable_matches, client, lookup);

		found = match != NO ? match : found;
	}
	return found;
}

enum sockeye__access sockeye__access_check(const struct sockeye__access_list *only_from,
					   const struct sockeye__access_list *no_access,
					   const struct sockeye__rules_client *client,
					   const struct sockeye__access_lookup *lookup)
{
	enum match denied = list_match(no_access, true, client, lookup), listed = YES;

	if (denied == YES)
		return SOCKEYE__ACCESS_LISTED;
	if (only_from->given)
		listed = list_match(only_from, false, client, lookup);
	if (listed == NO)
		return SOCKEYE__ACCESS_NOT_LISTED;
	return denied == UNKNOWN || listed == UNKNOWN ? SOCKEYE__ACCESS_UNKNOWN
						      : SOCKEYE__ACCESS_ALLOWED;
}

/* Reads "8:30" into minutes of the day. */
static int minute_parse(struct sockeye__slice text, uint64_t *out)
{
	const char *colon = memchr(text.at, ':', text.len);
	size_t hour_len = colon != NULL ? (size_t)(colon - text.at) : 0;
	uint64_t hour, minute;

	if (colon == NULL ||
	    sockeye__number_parse((struct sockeye__slice){text.at, hour_len}, 10, 23, &hour) < 0 ||
	    sockeye__number_parse((struct sockeye__slice){colon + 1, text.len - hour_len - 1}, 10,
				  59, &minute) < 0)
		return -EINVAL;
	*out = 60 * hour + minute;
	return 0;
}

int sockeye__access_span_parse(struct sockeye__slice word, struct sockeye__access_span *out,
			       char why[static SOCKEYE__ACCESS_WHY_MAX])
{
	const char *dash = memchr(word.at, '-', word.len);
	size_t from_len = dash != NULL ? (size_t)(dash - word.at) : 0;
	uint64_t from, to;

	if (dash == NULL || minute_parse((struct sockeye__slice){word.at, from_len}, &from) < 0 ||
	    minute_parse((struct sockeye__slice){dash + 1, word.len - from_len - 1}, &to) < 0) {
		snprintf(why, SOCKEYE__ACCESS_WHY_MAX,
			 "'%s' is not a span from 0:00 to 23:59, such as 8:00-17:59",
			 sockeye__conf_show(word).text);
		return -EINVAL;
	}
	if (from >= to) {
		snprintf(why, SOCKEYE__ACCESS_WHY_MAX,
			 "'%s' ends before it begins: for the night write 22:00-23:59 0:00-6:00",
			 sockeye__conf_show(word).text);
		return -EINVAL;
	}
	*out = (struct sockeye__access_span){(uint16_t)from, (uint16_t)to};
	return 0;
}

bool sockeye__access_spans_match(const struct sockeye__access_span *spans, size_t count,
				 unsigned minute)
{
	for (size_t i = 0; i < count; i++)
		if (minute >= spans[i].from && minute <= spans[i].to)
			return true;
	return false;
}
