/*
 * addr_parse.c: parses an address: first the scheme, then the rest, which depends on the
 * kind of scheme.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/types.h>

#include <sockeye/addr.h>
#include <sockeye/text.h>

#include "base/ascii.h"
#include "base/number.h"
#include "proto/addr_internal.h"
#include "proto/percent.h"

#define ESCAPES "write a percent sign as %%25, a control character as %%XX"

/* Whether `text` is `name`, a scheme or mode, in upper or lower case (RFC 3986, section
 * 3.1). The result does not depend on the locale. */
static bool same_name(const char *name, struct sockeye__slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (name[i] == '\0' || name[i] != sockeye__ascii_lower(text.at[i]))
			return false;
	return name[text.len] == '\0';
}

/* Finds a scheme. A digit 4 or 6 after it, as in "tcp6", selects the family. */
static bool scheme_find(struct sockeye__slice text, struct sockeye_addr *addr)
{
	char last = text.len > 0 ? text.at[text.len - 1] : '\0';
	struct sockeye__slice stem = {text.at, text.len - 1};

	for (int i = 0; i < SOCKEYE__SCHEMES; i++) {
		const struct sockeye__scheme *scheme = &sockeye__schemes[i];
		bool family = scheme->kind == SOCKEYE__INET && (last == '4' || last == '6');

		if (!same_name(scheme->name, family ? stem : text))
			continue;
		addr->scheme = (enum sockeye_scheme)i;
		addr->family = family ? last - '0' : 0;
		return true;
	}
	return false;
}

static int scheme_fail(const struct sockeye__reader *r)
{
	char names[96];
	struct sockeye__out out = sockeye__out_to(names, sizeof names);

	for (int i = 0; i < SOCKEYE__SCHEMES; i++) {
		if (i == SOCKEYE_TLS || i == SOCKEYE_ICMP) /* reserved */
			continue;
		sockeye__out_text(&out, " ");
		sockeye__out_text(&out, sockeye__schemes[i].name);
	}
	return sockeye__addr_fail(r, SOCKEYE_E_SCHEME,
				  "known schemes:%s; for one family append 4 or 6, as in tcp4",
				  names);
}

/* Parses the scheme and sets *rest to the text after it. An address without a scheme is
 * a TCP address, and *rest is unchanged. */
static int scheme_read(struct sockeye__reader *r, const char **rest)
{
	const char *text = r->text;
	size_t len = strcspn(text, ":/?");
	bool known = text[len] == ':' && scheme_find((struct sockeye__slice){text, len}, &r->addr);
	bool slashes = strncmp(text + len, "://", 3) == 0;

	if (!known && slashes)
		return scheme_fail(r);
	if (!known && (text[0] == '/' || text[0] == '.' || text[0] == '@'))
		return sockeye__addr_fail(r, SOCKEYE_E_SYNTAX,
					  "write a UNIX socket as unix:PATH or unix:@NAME");
	if (!known)
		return 0;
	if (sockeye__schemes[r->addr.scheme].kind != SOCKEYE__INET) {
		*rest = text + len + 1;
		return 0;
	}
	if (!slashes)
		return sockeye__addr_fail(r, SOCKEYE_E_SYNTAX,
					  "write two slashes after the scheme: %s://",
					  sockeye_scheme_name(r->addr.scheme));
	*rest = text + len + 3;
	return 0;
}

/* Parses PATH, ///PATH (like file:///, RFC 8089) or @NAME. */
static int unix_read(struct sockeye__reader *r, struct sockeye__slice text)
{
	struct sockeye_addr *addr = &r->addr;
	ssize_t len;

	if (text.len >= 2 && memcmp(text.at, "//", 2) == 0) {
		text = (struct sockeye__slice){text.at + 2, text.len - 2};
		if (text.len == 0 || text.at[0] != '/')
			return sockeye__addr_fail(
			    r, SOCKEYE_E_PATH,
			    "a UNIX socket has no host; write unix:PATH or unix:@NAME");
	}
	addr->abstract = text.len > 0 && text.at[0] == '@';
	if (addr->abstract)
		text = (struct sockeye__slice){text.at + 1, text.len - 1};
	len = sockeye__percent_decode(text, addr->path, SOCKEYE_UNIX_PATH_MAX);
	if (len == 0)
		return sockeye__addr_fail(r, SOCKEYE_E_PATH,
					  "the path is missing; write unix:PATH or unix:@NAME");
	if (len < 0)
		return sockeye__addr_fail(r, SOCKEYE_E_PATH, ESCAPES);
	if (len > SOCKEYE_UNIX_PATH_MAX)
		return sockeye__addr_fail(r, SOCKEYE_E_PATH_TOO_LONG,
					  "the path has %zd bytes; the limit is %d", len,
					  SOCKEYE_UNIX_PATH_MAX);
	if (!addr->abstract && memchr(addr->path, '\0', (size_t)len) != NULL)
		return sockeye__addr_fail(r, SOCKEYE_E_PATH,
					  "a path cannot contain a NUL byte; only unix:@NAME can");
	addr->path_len = (uint8_t)len;
	return 0;
}

/* Parses FILE, FILE;mode=octet or FILE;mode=netascii after the slash (RFC 3617, section
 * 2). */
static int file_read(struct sockeye__reader *r, struct sockeye__slice text)
{
	static const char octet[] = ";mode=octet", netascii[] = ";mode=netascii";
	const char *semicolon = memchr(text.at, ';', text.len);
	struct sockeye_addr *addr = &r->addr;
	ssize_t len;

	if (semicolon != NULL) {
		struct sockeye__slice mode = {semicolon, text.len - (size_t)(semicolon - text.at)};

		text.len -= mode.len;
		addr->netascii = same_name(netascii, mode);
		if (!addr->netascii && !same_name(octet, mode))
			return sockeye__addr_fail(r, SOCKEYE_E_SYNTAX,
						  "only %s or %s may follow the file", octet,
						  netascii);
	}
	len = sockeye__percent_decode(text, addr->file, sizeof addr->file - 1);
	if (len < 0)
		return sockeye__addr_fail(r, SOCKEYE_E_PATH, ESCAPES);
	if (len >= (ssize_t)sizeof addr->file)
		return sockeye__addr_fail(r, SOCKEYE_E_PATH,
					  "the file name has %zd bytes; the limit is %zu", len,
					  sizeof addr->file - 1);
	if (memchr(addr->file, '\0', (size_t)len) != NULL)
		return sockeye__addr_fail(r, SOCKEYE_E_PATH,
					  "a file name cannot contain a NUL byte");
	return 0;
}

static int inet_read(struct sockeye__reader *r, struct sockeye__slice text)
{
	const char *slash = memchr(text.at, '/', text.len);
	struct sockeye__slice file = {0};
	int err;

	if (slash != NULL) {
		file = (struct sockeye__slice){slash + 1, text.len - (size_t)(slash - text.at) - 1};
		text.len -= file.len + 1;
	}
	err = sockeye__addr_host_port(r, text);
	if (err < 0 || file.len == 0)
		return err;
	if (!sockeye__schemes[r->addr.scheme].file)
		return sockeye__addr_fail(r, SOCKEYE_E_SYNTAX, "only ?OPTION may follow the port");
	return file_read(r, file);
}

static int fd_read(struct sockeye__reader *r, struct sockeye__slice text)
{
	uint64_t v;

	if (sockeye__number_parse(text, 10, INT_MAX, &v) < 0)
		return sockeye__addr_fail(r, SOCKEYE_E_SYNTAX,
					  "write the number of a file descriptor, as in fd:3");
	r->addr.fd = (int)v;
	return 0;
}

static int body_read(struct sockeye__reader *r, struct sockeye__slice text)
{
	switch (sockeye__schemes[r->addr.scheme].kind) {
	case SOCKEYE__UNIX:
		return unix_read(r, text);
	case SOCKEYE__INHERITED:
		return fd_read(r, text);
	default:
		return inet_read(r, text);
	}
}

int sockeye_addr_parse(const char *text, struct sockeye_addr *out, struct sockeye_fail *why)
{
	struct sockeye__reader r = {.text = text, .why = why};
	const char *body = text;
	size_t len;
	int err = scheme_read(&r, &body);

	if (err < 0)
		return err;
	len = strcspn(body, "?");
	err = body_read(&r, (struct sockeye__slice){body, len});
	if (err == 0 && body[len] == '?')
		err = sockeye__addr_options_parse(&r, body + len + 1);
	if (err == 0)
		*out = r.addr;
	return err;
}
