/* get_put_address.c: corrects operands of get and put that are not TFTP addresses (get_put.h). */
#include "get_put.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sockeye/text.h>

#include "cli/address.h"
#include "cli/report.h"
#include "cli/suggest.h"

/* Writes `url` or, if it is not a TFTP address, a similar address. Returns false if no
 * address is similar. */
static bool address_correct(const struct transfers *t, const char *url, char *out, size_t cap)
{
	struct sockeye_addr addr;
	size_t len;

	if (!cli_address_corrected(url, CLI_FETCHES, out, cap))
		return snprintf(out, cap, "%s", url) < (int)cap &&
		       sockeye_addr_parse(url, &addr, NULL) == 0 && addr.scheme == SOCKEYE_TFTP;
	len = strlen(out);
	if (t->way != SOCKEYE__TFTP_PUT && out[len - 1] == '/')
		snprintf(out + len, cap - len, FILE_EXAMPLE);
	return true;
}

#define CORRECTED_MAX 8

/* Returns the command line with all addresses corrected, or NULL if one of them cannot be
 * corrected or two of them end in the same file name. */
static const char *addresses_correct(const struct transfers *t, const char *url,
				     struct suggestion *s)
{
	char texts[CORRECTED_MAX][SOCKEYE_ADDR_TEXT_MAX];
	struct suggest_edit edits[CORRECTED_MAX];
	size_t count = t->addresses ? (size_t)t->addresses->count : 1;

	if (count > CORRECTED_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const char *word = t->addresses ? t->addresses->v[i] : url;

		edits[i] = (struct suggest_edit){.at = word, .text = texts[i]};
		if (!address_correct(t, word, texts[i], sizeof texts[i]))
			return NULL;
		for (size_t k = 0; k < i; k++)
			if (strcmp(strrchr(texts[k], '/'), strrchr(texts[i], '/')) == 0)
				return NULL;
	}
	return suggest_edit(s, edits, count);
}

int transfers_address_wrong(const struct transfers *t, const char *url,
			    const struct sockeye_fail *fail)
{
	char shown[256];
	struct suggestion s;
	const char *try = addresses_correct(t, url, &s);

	if (strncasecmp(url, "tftp://", strlen("tftp://")) == 0)
		return report_fail_try(&t->o->common, fail, try);
	sockeye_escape(url, strlen(url), shown, sizeof shown);
	return cli_usage_try(&t->o->common, t->command, try,
			     "'%s' is not a TFTP address; write tftp://HOST/FILE", shown);
}
