/* test_reply.c: one reply for each message, for input in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../rows.h"
#include "session.h"

#define STANDARD "Server got message\n"
#define TEXT(s) \
	{ \
		.text = (s), .text_len = sizeof(s) - 1 \
	}

static const struct {
	const char *in;
	struct sockeye_builtin_config config;
	const char *want;
} rows[] = {
    {"", {0}, ""},
    {"hello\n", {0}, STANDARD},
    {"hello", {0}, STANDARD}, /* the last line needs no LF */
    {"hello\r\n", {0}, STANDARD},
    {"\n", {0}, STANDARD},
    {"a\nb\nc", {0}, STANDARD STANDARD STANDARD},
    {"a\n\nb\n", {0}, STANDARD STANDARD STANDARD},
    {"a\nb\n", TEXT("back to ya client"), "back to ya client\nback to ya client\n"},
    {"a\nb\n", TEXT("has its own\r\n"), "has its own\r\nhas its own\r\n"},
    {"a\nb\n", TEXT(""), "\n\n"},
    {"a\nb\n", TEXT("\n"), "\n\n"},
    {"a\nb\n", {.once = true}, STANDARD},
    {"a", {.once = true}, STANDARD},
    {"", {.once = true}, ""},
};

static struct session_out run(const struct sockeye_builtin_config *config, const void *in,
			      size_t len, uint64_t seed)
{
	struct session s = {.service = sockeye_builtin_find("reply"),
			    .config = config,
			    .in_max = 4096,
			    .room_max = 3 * SOCKEYE_ROOM_MIN,
			    .dice = {.seed = seed}};

	return session_run(&s, in, len);
}

static void test_lines(void **state)
{
	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].in) {
		for (uint64_t seed = 0; seed < 20; seed++) {
			struct session_out out =
			    run(&rows[i].config, rows[i].in, strlen(rows[i].in), seed);

			assert_null(out.broken);
			assert_int_equal(out.len, strlen(rows[i].want));
			if (out.len > 0)
				assert_memory_equal(out.ptr, rows[i].want, out.len);
			free(out.ptr);
		}
	}
}

/* Far more replies than there is room for: lines wait in the input. */
static void test_many_empty_lines(void **state)
{
	static uint8_t in[2000];
	static char longest[SOCKEYE_ROOM_MIN - 2];
	const struct sockeye_builtin_config configs[] = {
	    {0}, {.text = longest, .text_len = sizeof longest}};

	(void)state;
	memset(in, '\n', sizeof in);
	memset(longest, 'x', sizeof longest);
	for (size_t c = 0; c < 2; c++)
		for (uint64_t seed = 0; seed < 5; seed++) {
			size_t each = (c == 0 ? sizeof STANDARD - 2 : sizeof longest) + 1;
			struct session_out out = run(&configs[c], in, sizeof in, seed);

			assert_null(out.broken);
			assert_int_equal(out.len, sizeof in * each);
			for (size_t i = each - 1; i < out.len; i += each)
				assert_int_equal(out.ptr[i], '\n');
			free(out.ptr);
		}
}

static void test_text_with_nul(void **state)
{
	const struct sockeye_builtin_config config = {.text = "x\0y", .text_len = 3};
	struct session_out out = run(&config, "hello\n", 6, 0);

	(void)state;
	assert_int_equal(out.len, 4);
	assert_memory_equal(out.ptr, "x\0y\n", 4);
	free(out.ptr);
}

/* The input in pieces: '|' lets the pause pass, ',' less than that. */
static const struct {
	const char *in;
	size_t want; /* replies */
	bool ends;   /* the input ends after the last piece */
} pauses[] = {
    {"hello server|", 1, false},
    {"hello server|", 1, true},
    {"hello server|\n", 1, true},
    {"hello server|\r\n", 1, false},
    {"hel,lo ser,ver", 0, false},
    {"hel,lo ser,ver\n", 1, false},
    {"hel,lo ser,ver|", 1, false},
    {"hello|\nserver\n", 2, false},
    {"hello| server\n", 1, false}, /* the line has its reply */
    {"hello| server|\n", 2, false},
    {"hello| server|", 2, true},
    {"hello| server", 2, true},
    {"hello|\nserver|\n\n", 3, false},
    {"one\ntwo\nthree|\nfour\n", 4, false},
    {"one\n|", 1, false},
    {"|", 0, false},
    {"", 0, true},
};

struct conversation {
	const struct sockeye_builtin_config *config;
	uint64_t state[2];
	uint64_t now_ns, deadline_ns;
	size_t replies;
};

static void say(struct conversation *c, const char *text, size_t len, bool end)
{
	uint8_t in[64], room[SOCKEYE_ROOM_MIN];
	struct sockeye_turn t = {.in = in,
				 .in_len = len,
				 .room = room,
				 .room_len = sizeof room,
				 .in_end = end,
				 .now = {.mono_ns = c->now_ns}};

	memcpy(in, text, len);
	sockeye_builtin_find("reply")->turn(c->state, c->config, &t);
	assert_int_equal(t.in_taken, len); /* so that a session that waits keeps no buffer */
	assert_int_equal(t.close, end);
	for (size_t i = 0; i < t.out_len; i++)
		c->replies += t.out[i] == '\n';
	c->deadline_ns = t.deadline_ns;
}

static size_t converse(const char *in, bool ends, uint64_t pause_ns)
{
	const struct sockeye_builtin_config config = {.pause_ns = pause_ns};
	struct conversation c = {.config = &config, .now_ns = 12345};
	uint64_t given_ns = pause_ns ? pause_ns : 100 * SOCKEYE_NS_PER_MS;

	for (; *in; in++) {
		size_t len = strcspn(in, "|,");

		say(&c, in, len, false);
		in += len;
		if (*in == '\0')
			break;
		if (c.deadline_ns > 0) {
			assert_int_equal(c.deadline_ns, c.now_ns + given_ns);
			c.now_ns += *in == '|' ? given_ns : given_ns / 2;
			say(&c, "", 0, false); /* a turn before the deadline does nothing */
		}
	}
	if (ends)
		say(&c, "", 0, true);
	return c.replies;
}

static void test_pauses(void **state)
{
	(void)state;
	FOR_ROWS(i, pauses, "%s", pauses[i].in) {
		assert_int_equal(converse(pauses[i].in, pauses[i].ends, 0), pauses[i].want);
		assert_int_equal(converse(pauses[i].in, pauses[i].ends, 777), pauses[i].want);
	}
}

static void test_no_pause(void **state)
{
	(void)state;
	assert_int_equal(converse("hello|server|\n", false, UINT64_MAX), 1);
	assert_int_equal(converse("hello|server|", true, UINT64_MAX), 1);
	assert_int_equal(converse("hello|", false, UINT64_MAX), 0);
}

static void test_once_after_a_pause(void **state)
{
	const struct sockeye_builtin_config once = {.once = true};
	uint8_t room[SOCKEYE_ROOM_MIN], in[] = "hello";
	uint64_t session[2] = {0};
	struct sockeye_turn t = {.in = in, .in_len = 5, .room = room, .room_len = sizeof room};
	struct sockeye_turn later = {.room = room, .room_len = sizeof room};

	(void)state;
	sockeye_builtin_find("reply")->turn(session, &once, &t);
	assert_false(t.close);
	later.now.mono_ns = t.deadline_ns;
	sockeye_builtin_find("reply")->turn(session, &once, &later);
	assert_true(later.close);
	assert_int_equal(later.out_len, sizeof STANDARD - 1);
}

static void test_long_line(void **state)
{
	static uint8_t in[100000];

	(void)state;
	memset(in, 'x', sizeof in);
	struct session_out out = run(NULL, in, sizeof in, 3);

	assert_null(out.broken);
	assert_int_equal(out.len, sizeof STANDARD - 1);
	free(out.ptr);
}

static void test_once_closes(void **state)
{
	const struct sockeye_builtin_config once = {.once = true};
	uint8_t room[SOCKEYE_ROOM_MIN], in[] = "a\nb\n";
	uint64_t session[2] = {0};
	struct sockeye_turn t = {.in = in, .in_len = 4, .room = room, .room_len = sizeof room};

	(void)state;
	sockeye_builtin_find("reply")->turn(session, &once, &t);
	assert_true(t.close);
	assert_false(t.more);
	assert_int_equal(t.out_len, sizeof STANDARD - 1);
}

static void test_record(void **state)
{
	uint8_t room[SOCKEYE_ROOM_MIN], in[] = "a\nb\nc";
	uint64_t session[2] = {0};
	struct sockeye_turn t = {
	    .in = in, .in_len = 5, .room = room, .room_len = sizeof room, .in_is_record = true};
	struct sockeye_turn end = {
	    .room = room, .room_len = sizeof room, .in_is_record = true, .in_end = true};

	(void)state;
	sockeye_builtin_find("reply")->turn(session, NULL, &t);
	assert_int_equal(t.in_taken, 5);
	assert_int_equal(t.out_len, sizeof STANDARD - 2); /* one reply, without LF */
	assert_memory_equal(t.out, STANDARD, t.out_len);
	assert_false(t.close);
	sockeye_builtin_find("reply")->turn(session, NULL, &end);
	assert_int_equal(end.out_len, 0);
	assert_true(end.close);
}

static void test_datagram(void **state)
{
	static uint8_t room[65507];
	const struct sockeye_builtin_config config = TEXT("back to ya client");
	struct sockeye_answer a = {.room = room, .room_len = sizeof room}; /* an empty datagram */

	(void)state;
	sockeye_builtin_find("reply")->datagram(&config, &a);
	assert_true(a.send);
	assert_int_equal(a.out_len, config.text_len);
	assert_memory_equal(a.out, config.text, config.text_len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),       cmocka_unit_test(test_many_empty_lines),
	    cmocka_unit_test(test_long_line),   cmocka_unit_test(test_text_with_nul),
	    cmocka_unit_test(test_once_closes), cmocka_unit_test(test_record),
	    cmocka_unit_test(test_datagram),    cmocka_unit_test(test_pauses),
	    cmocka_unit_test(test_no_pause),    cmocka_unit_test(test_once_after_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
