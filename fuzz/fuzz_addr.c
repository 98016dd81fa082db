/*
 * fuzz_addr.c: a valid address prints as visible ASCII that parses to the same address.
 * An invalid one gives a message that is safe to print.
 *
 * Input: the address, up to its first NUL.
 */
#include <stdlib.h>
#include <string.h>

#include <sockeye/addr.h>
#include <sockeye/error.h>

#include "../test/unit/same_addr.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refused(const struct sockeye_addr *addr, const struct sockeye_fail *why, int err)
{
	static const struct sockeye_addr untouched;
	char text[1024];

	require(same_addr(addr, &untouched), "wrote to the output after a failure");
	require(why->err == err && err <= SOCKEYE_E_SCHEME && err >= SOCKEYE_E_SYNTAX,
		"another error code");
	require(why->detail[0] != '\0', "no advice");
	require(sockeye_fail_text(why, text, sizeof text) < sizeof text, "long text");
	for (const char *p = text; *p != '\0'; p++)
		require((unsigned char)*p >= 0x20 && *p != 0x7f, "not safe to print");
}

static void check_accepted(const struct sockeye_addr *addr)
{
	/* 255 bytes of a file name, each as %XX, and the rest */
	char text[SOCKEYE_ADDR_TEXT_MAX + 3 * sizeof addr->file], cut[sizeof text];
	struct sockeye_addr again;
	size_t len = sockeye_addr_print(addr, text, sizeof text);

	require(len < sizeof text && strlen(text) == len, "length");
	for (size_t i = 0; i < len; i++)
		require(text[i] > 0x20 && text[i] < 0x7f, "not one word of ASCII");
	require(sockeye_addr_parse(text, &again, NULL) == 0, "does not parse");
	require(same_addr(addr, &again), "parses to another address");
	require(sockeye_addr_print(addr, cut, len / 2 + 1) == len, "length of a cut text");
	require(strlen(cut) <= len / 2 && memcmp(cut, text, strlen(cut)) == 0, "cut");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1); /* of its exact size, so that ASan detects a read after it */
	struct sockeye_addr addr;
	struct sockeye_fail why;
	int err;

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	memset(&addr, 0, sizeof addr);
	memset(&why, 0, sizeof why);
	err = sockeye_addr_parse(text, &addr, &why);
	if (err < 0)
		check_refused(&addr, &why, err);
	else
		check_accepted(&addr);
	free(text);
	return 0;
}
