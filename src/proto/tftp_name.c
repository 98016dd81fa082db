/* tftp_name.c: normalizes the file names of requests (tftp_name.h). */
#include "proto/tftp_name.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* Returns the length of out[0..len) without a slash at its end and without its last
 * component if that is "." or empty. ".." also removes the component before it, or
 * fails with -EACCES if there is none. */
static ssize_t component_end(const char *out, size_t len)
{
	const char *slash = memrchr(out, '/', len);
	size_t start = slash ? (size_t)(slash - out) + 1 : 0;
	bool here = len == start || (len == start + 1 && out[start] == '.');
	bool up = len == start + 2 && out[start] == '.' && out[start + 1] == '.';

	if (here || up)
		len = start > 0 ? start - 1 : 0;
	if (!up)
		return (ssize_t)len;
	if (len == 0)
		return -EACCES;
	slash = memrchr(out, '/', len);
	return slash ? slash - out : 0;
}

ssize_t sockeye__tftp_name_clean(struct sockeye__span name,
				 const struct sockeye__tftp_name_rules *rules, char *out,
				 size_t cap)
{
	ssize_t len = 0;

	if (name.len == 0 || memchr(name.at, '\0', name.len) != NULL)
		return -EINVAL;
	while (rules->strip_high && name.len > 0 && name.at[name.len - 1] >= 0x80)
		name.len--;
	for (size_t i = 0; i < name.len; i++) {
		char c = (char)name.at[i];

		if (c == '\\' && rules->backslash)
			c = '/';
		if (c == '/')
			len = component_end(out, (size_t)len);
		if (len < 0)
			return len;
		if (c == '/' && len == 0)
			continue;
		if ((size_t)len + 1 >= cap)
			return -ENAMETOOLONG;
		out[len++] = c;
	}
	len = component_end(out, (size_t)len);
	if (len == 0)
		return -EINVAL;
	if (len > 0)
		out[len] = '\0';
	return len;
}
