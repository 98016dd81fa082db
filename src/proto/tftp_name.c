/* tftp_name.c: names as clients write them, made into one form (tftp_name.h). */
#include "proto/tftp_name.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static char octet_clean(uint8_t c, const struct sockeye__tftp_name_rules *rules)
{
	if (c == '\\' && rules->backslash)
		return '/';
	if (c >= 'A' && c <= 'Z' && rules->fold_case)
		return (char)(c - 'A' + 'a');
	return (char)c;
}

/* Takes away the last component of out[0..len) when it is "." or nothing, so
 * that what is left is empty or ends in a component. */
static size_t component_end(const char *out, size_t len)
{
	if (len > 0 && out[len - 1] == '.' && (len == 1 || out[len - 2] == '/'))
		len--;
	if (len > 0 && out[len - 1] == '/')
		len--;
	return len;
}

ssize_t sockeye__tftp_name_clean(struct sockeye__octets name,
				 const struct sockeye__tftp_name_rules *rules, char *out,
				 size_t cap)
{
	size_t len = 0;

	if (name.len == 0 || memchr(name.at, '\0', name.len) != NULL)
		return -EINVAL;
	while (rules->strip_high && name.len > 0 && name.at[name.len - 1] >= 0x80)
		name.len--;
	for (size_t i = 0; i < name.len; i++) {
		char c = octet_clean(name.at[i], rules);

		if (c == '/')
			len = component_end(out, len);
		if (c == '/' && len == 0)
			continue;
		if (len + 1 >= cap)
			return -ENAMETOOLONG;
		out[len++] = c;
	}
	len = component_end(out, len);
	if (len == 0)
		return -EINVAL;
	out[len] = '\0';
	return (ssize_t)len;
}
