/*
 * fuzz_session.c: a session gives the same bytes however its input is cut,
 * keeps the contract of service.h at every turn, and ends.
 *
 * Input: service, options, length of the cuts, cuts ..., what the peer sends ...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../test/unit/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *service, const char *what)
{
	fprintf(stderr, "%s: %s\n", service, what);
	abort();
}

static struct session session_of(uint8_t service, uint8_t options)
{
	static struct sockeye_builtin_config config;
	static const char *const texts[] = {NULL, "", "answer", "line\n"};
	size_t count = 0;

	while (sockeye_builtins[count])
		count++;
	config.text = texts[options & 3];
	config.text_len = config.text ? strlen(config.text) : 0;
	config.once = options & 4;
	config.daytime = options & 8 ? SOCKEYE_DAYTIME_CTIME : SOCKEYE_DAYTIME_SMTP;
	return (struct session){
	    .service = sockeye_builtins[service % count],
	    .config = &config,
	    .now.real_ns = INT64_C(1795232959) * 1000000000,
	    .room_max = options & 16 ? 4 * SOCKEYE_ROOM_MIN : 0,
	    .in_max = options & 32 ? 256 : 0,
	    .out_min = (size_t)(options >> 6) * 4000,
	};
}

/* What the output must be, where that is known without running the service. */
static void check(const struct session_out *out, const char *name, const uint8_t *in, size_t len)
{
	if (out->broken)
		fail(name, out->broken);
	if (strcmp(name, "discard") == 0 && out->len > 0)
		fail(name, "said something");
	bool echo = strcmp(name, "echo") == 0;
	if (!echo && strcmp(name, "upper") != 0)
		return;
	if (out->len != len)
		fail(name, "another length");
	for (size_t i = 0; i < len; i++) {
		bool lower = in[i] >= 'a' && in[i] <= 'z';

		if (out->ptr[i] != (lower && !echo ? in[i] - 'a' + 'A' : in[i]))
			fail(name, "another byte");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3 || size - 3 < data[2])
		return 0;
	const uint8_t *in = data + 3 + data[2];
	size_t len = size - 3 - data[2];
	struct session s = session_of(data[0], data[1]);
	const char *name = s.service->name;
	struct session_out plain = session_run(&s, in, len);

	s.dice = (struct dice){.bytes = data + 3, .len = data[2]};
	struct session_out cut = session_run(&s, in, len);
	size_t both = plain.len < cut.len ? plain.len : cut.len;

	check(&plain, name, in, len);
	check(&cut, name, in, len);
	/* When chargen stops depends on when the end comes. */
	if (plain.len != cut.len && strcmp(name, "chargen") != 0)
		fail(name, "as much depends on the cuts");
	if (both > 0 && memcmp(plain.ptr, cut.ptr, both) != 0)
		fail(name, "what it says depends on the cuts");
	free(plain.ptr);
	free(cut.ptr);
	return 0;
}
