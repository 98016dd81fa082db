/*
 * The grammar of xinetd's configuration files: the items of a text, and what the strict
 * and the compatible reader report about each deviation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../rows.h"
#include "superserver/conf_words.h"

#define STRICT false
#define COMPAT true

/* Appends the item, as "3:port+=80,81 ". */
static void item_print(char *out, size_t cap, const struct sockeye__conf_item *item)
{
	static const char *const kinds[] = {"END",     "INCLUDE", "INCLUDEDIR", "DEFAULTS",
					    "SERVICE", "",        "CLOSE",      "LOST"};
	static const char *const ops[] = {"=", "+=", "-=", "?"};
	struct sockeye__slice rest = item->values, word;
	size_t len = strlen(out), words = 0;

	len += (size_t)snprintf(out + len, cap - len, "%s%u:%s%.*s", len ? " " : "", item->line,
				kinds[item->kind], (int)item->name.len, item->name.at);
	if (item->kind == SOCKEYE__CONF_ATTRIBUTE)
		len += (size_t)snprintf(out + len, cap - len, "%s", ops[item->op]);
	while (sockeye__conf_word_take(&rest, &word))
		len += (size_t)snprintf(out + len, cap - len, "%s%.*s", words++ ? "," : "",
					(int)word.len, word.at);
}

static void read_text(const char *text, size_t len, bool compat, char *items, size_t cap,
		      struct sockeye__conf_notes *notes)
{
	struct sockeye__conf_words words;
	struct sockeye__conf_item item;
	char *copy = malloc(len ? len : 1);

	/* A copy of the exact length, so that the sanitizer finds reads beyond it. */
	assert_non_null(copy);
	memcpy(copy, text, len);
	*items = '\0';
	sockeye__conf_words_begin(&words, copy, len, "f", compat, notes);
	do {
		item = sockeye__conf_words_next(&words);
		if (item.kind != SOCKEYE__CONF_END)
			item_print(items, cap, &item);
	} while (item.kind != SOCKEYE__CONF_END);
	assert_int_equal(sockeye__conf_words_next(&words).kind, SOCKEYE__CONF_END);
	free(copy);
}

static void notes_print(const struct sockeye__conf_notes *notes, char *out, size_t cap)
{
	size_t len = 0;

	*out = '\0';
	for (size_t i = 0; i < notes->count; i++)
		len += (size_t)snprintf(out + len, cap - len, "%s%u %c %s", i ? "\n" : "",
					notes->list[i].place.line, "weB"[notes->list[i].severity],
					notes -> list[i].text);
}

/* Both readers agree on correct files, and report nothing. */
static void test_correct(void **state)
{
	static const struct {
		const char *text, *items;
	} rows[] = {
	    {"", ""},
	    {"\n\n  \t\n", ""},
	    {"# only a comment", ""},
	    {"  \t# indented comment\n", ""},
	    {"service x\n{\n}\n", "1:SERVICEx 3:CLOSE"},
	    {"service x\n{\n}", "1:SERVICEx 3:CLOSE"},
	    {"SERVICE x\n{\nPort = 1\n}", "1:SERVICEx 3:Port=1 4:CLOSE"},
	    {"\t service \t x \t\n\n# c\n  {  \n\t}\t\n", "1:SERVICEx 5:CLOSE"},
	    {"defaults\n{\n}\nservice y\n{\n}\n", "1:DEFAULTS 3:CLOSE 4:SERVICEy 6:CLOSE"},
	    {"service x\n{\nport =80\nport = 80\n}", "1:SERVICEx 3:port=80 4:port=80 5:CLOSE"},
	    {"service x\n{\na += b c\na -=d\na =\na +=\t\n}",
	     "1:SERVICEx 3:a+=b,c 4:a-=d 5:a= 6:a+= 7:CLOSE"},
	    {"service x\n{\nserver_args = \"a b\" 'c # d\n}",
	     "1:SERVICEx 3:server_args=\"a,b\",'c,#,d 4:CLOSE"},
	    {"service x\n{\nenv = A=b=c -=\n}", "1:SERVICEx 3:env=A=b=c,-= 4:CLOSE"},
	    {"service x\n{\na = b\\\n}", "1:SERVICEx 3:a=b\\ 4:CLOSE"},
	    {"service x\r\n{\r\nport = 80\r\n}\r\n", "1:SERVICEx 3:port=80 4:CLOSE"},
	    {"\xef\xbb\xbfservice x\n{\n}", "1:SERVICEx 3:CLOSE"},
	    {"include /a/b\nIncludeDir c\n", "1:INCLUDE/a/b 2:INCLUDEDIRc"},
	    {"service x\n{\ninclude = a\nservice = b\n}",
	     "1:SERVICEx 3:include=a 4:service=b 5:CLOSE"},
	    {"service \xff\n{\nb\xc3 = \xbc\n}", "1:SERVICE\xff 3:b\xc3=\xbc 4:CLOSE"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].text) {
		for (int compat = 0; compat < 2; compat++) {
			struct sockeye__conf_notes notes = {.count = 0};
			char items[512];

			read_text(rows[i].text, strlen(rows[i].text), compat != 0, items,
				  sizeof items, &notes);
			assert_string_equal(items, rows[i].items);
			assert_int_equal(notes.count, 0);
		}
	}
}

static void test_deviations(void **state)
{
	static const struct {
		const char *text;
		bool compat;
		const char *items, *notes;
	} rows[] = {
	    {"service x\n{\nport=80\n}", STRICT, "1:SERVICEx 3:port=80 4:CLOSE",
	     "3 e 'port' needs a blank before its operator: write 'port = 80'"},
	    {"service x\n{\nport+=80 1\n}\nservice y\n{\n}", STRICT,
	     "1:SERVICEx 3:port+=80,1 4:CLOSE 5:SERVICEy 7:CLOSE",
	     "3 e 'port' needs a blank before its operator: write 'port += 80 1'"},
	    {"service x\n{\nport=80\nwait = no\n}\nservice y\n{\n}", COMPAT,
	     "1:SERVICEx 3:LOST 6:SERVICEy 8:CLOSE",
	     "3 w 'port' needs a blank before its operator: write 'port = 80'"},
	    {"service x\n{\ndisable\n}", STRICT, "1:SERVICEx 3:disable? 4:CLOSE",
	     "3 e 'disable' has no operator: write 'disable = VALUE'"},
	    {"service x\n{\ndisable", STRICT, "1:SERVICEx 3:disable? 3:LOST",
	     "3 e 'disable' has no operator: write 'disable = VALUE'\n"
	     "3 B the entry that begins at line 1 has no }"},
	    {"service x\n{\ndisable\n}", COMPAT, "1:SERVICEx 3:LOST",
	     "3 w 'disable' has no operator: write 'disable = VALUE'"},
	    {"service x\n{\ndisable\n}\nservice y\n{\n}\nservice z\n{\n}", COMPAT,
	     "1:SERVICEx 3:LOST 8:SERVICEz 10:CLOSE",
	     "3 w 'disable' has no operator: write 'disable = VALUE'\n"
	     "5 w 'service y' is lost, as under xinetd, because of a mistake before it"},
	    {"service x\n{\ndisable\n\tport = 1\n}\nservice y\n{\n}", COMPAT,
	     "1:SERVICEx 3:LOST 6:SERVICEy 8:CLOSE",
	     "3 w 'disable' has no operator: write 'disable = VALUE'"},
	    {"service x\n{\nport : 80\n}", STRICT, "1:SERVICEx 3:port?:,80 4:CLOSE",
	     "3 e 'port' has no operator: write 'port = 80'"},
	    {"service x\n{\nport + 80\n}", COMPAT, "1:SERVICEx 3:LOST",
	     "3 w 'port' has no operator: write 'port = 80'"},
	    {"service x\n{\n} # end\nservice y\n{\n}\nservice z\n{\n}", STRICT,
	     "1:SERVICEx 3:CLOSE 4:SERVICEy 6:CLOSE 7:SERVICEz 9:CLOSE",
	     "3 B '} # end' does not end the entry for xinetd, which loses this entry and the "
	     "next: } must be alone on its line"},
	    {"service x\n{\n} # end\nservice y\n{\n}\nservice z\n{\n}", COMPAT,
	     "1:SERVICEx 3:LOST 7:SERVICEz 9:CLOSE",
	     "3 w '} # end' does not end the entry for xinetd, which loses this entry and the "
	     "next: } must be alone on its line\n"
	     "4 w 'service y' is lost, as under xinetd, because of a mistake before it"},
	    {"service x {\nport = 80\n}\nservice y\n{\n}", STRICT,
	     "1:SERVICEx 2:port=80 3:CLOSE 4:SERVICEy 6:CLOSE",
	     "1 B { must be alone on the next line"},
	    {"service x {\nport = 80\n}\nservice y\n{\n}", COMPAT, "4:SERVICEy 6:CLOSE",
	     "1 w { must be alone on the next line"},
	    {"service x\n{ port = 80\n}", STRICT, "1:SERVICEx 3:CLOSE",
	     "1 B 'service x' has no line with only { after it"},
	    {"service x\nservice y\n{\n}", STRICT, "2:SERVICEy 4:CLOSE",
	     "1 B 'service x' has no line with only { after it"},
	    {"service x\nservice y\n{\n}\nservice z\n{\n}", COMPAT, "5:SERVICEz 7:CLOSE",
	     "1 w 'service x' has no line with only { after it"},
	    {"service x", STRICT, "", "1 B 'service x' has no line with only { after it"},
	    {"service\n{\nport = 1\n}\nservice y\n{\n}", STRICT, "5:SERVICEy 7:CLOSE",
	     "1 B a service needs a name: write 'service NAME'"},
	    {"service x y\n{\n}", STRICT, "1:SERVICEx 3:CLOSE",
	     "1 B 'y' after the service name is ignored: remove it"},
	    {"defaults # all\n{\n}", STRICT, "1:DEFAULTS 3:CLOSE",
	     "1 B # begins a comment only at the start of a line: put the comment on its own "
	     "line"},
	    {"include a b\n", COMPAT, "1:INCLUDEa", "1 w 'b' after the path is ignored: remove it"},
	    {"includedir\nservice y\n{\n}\n", STRICT, "2:SERVICEy 4:CLOSE",
	     "1 B 'includedir' needs a path"},
	    {"stray\nservice y\n{\n}\nservice z\n{\n}", STRICT,
	     "2:SERVICEy 4:CLOSE 5:SERVICEz 7:CLOSE",
	     "1 B 'stray' is not service, defaults, include or includedir; xinetd loses the "
	     "entry after it"},
	    {"stray\nservice y\n{\n}\nservice z\n{\n}", COMPAT, "5:SERVICEz 7:CLOSE",
	     "1 w 'stray' is not service, defaults, include or includedir\n"
	     "2 w 'service y' is lost, as under xinetd, because of a mistake before it"},
	    {"servcie x\n{\nport = 80\n}\nservice y\n{\n}", STRICT, "5:SERVICEy 7:CLOSE",
	     "1 B 'servcie' is not service, defaults, include or includedir; xinetd loses the "
	     "entry after it"},
	    {"servcie x {\nport = 80\n} \nservice y\n{\n}", STRICT, "4:SERVICEy 6:CLOSE",
	     "1 B 'servcie' is not service, defaults, include or includedir; xinetd loses the "
	     "entry after it"},
	    {"}\nservice y\n{\n}", STRICT, "2:SERVICEy 4:CLOSE",
	     "1 B } ends no entry: remove it, or add the { that it belongs to"},
	    {"{\nport = 80\n}\nservice y\n{\n}", STRICT, "4:SERVICEy 6:CLOSE",
	     "1 B { begins no entry: write 'service NAME' on the line before it"},
	    {"service x\n{\nwait = no\nservice y\n{\n}", STRICT,
	     "1:SERVICEx 3:wait=no 4:CLOSE 4:SERVICEy 6:CLOSE",
	     "4 B missing } of the entry that begins at line 1"},
	    {"service x\n{\ninclude /a\n}", STRICT, "1:SERVICEx 3:CLOSE 3:INCLUDE/a",
	     "3 B missing } of the entry that begins at line 1\n"
	     "4 B } ends no entry: remove it, or add the { that it belongs to"},
	    {"service x\n{\n{\nwait = no\n}", STRICT, "1:SERVICEx 4:wait=no 5:CLOSE",
	     "3 e second { in the entry that begins at line 1"},
	    {"service x\n{\nwait = no", COMPAT, "1:SERVICEx 3:wait=no 3:LOST",
	     "3 w the entry that begins at line 1 has no }"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s (%s)", rows[i].text, rows[i].compat ? "compat" : "strict") {
		struct sockeye__conf_notes notes = {.count = 0};
		char items[512], text[2048];

		read_text(rows[i].text, strlen(rows[i].text), rows[i].compat, items, sizeof items,
			  &notes);
		notes_print(&notes, text, sizeof text);
		assert_string_equal(text, rows[i].notes);
		assert_string_equal(items, rows[i].items);
	}
}

static void test_not_text(void **state)
{
	static const char nul[] = "service x\n{\na = \0b\nwait = no\n}";
	static char text[SOCKEYE__CONF_LINE_MAX + 100];
	char items[512];

	(void)state;
	for (int compat = 0; compat < 2; compat++) {
		struct sockeye__conf_notes notes = {.count = 0};

		read_text(nul, sizeof nul - 1, compat != 0, items, sizeof items, &notes);
		assert_string_equal(items, "1:SERVICEx 4:wait=no 5:CLOSE");
		assert_int_equal(notes.broken, 1);
		assert_string_equal(notes.list[0].text, "the line has the control character \\0");
	}
	for (int over = 0; over < 2; over++) {
		struct sockeye__conf_notes notes = {.count = 0};
		size_t len = (size_t)snprintf(text, sizeof text, "service x\n{\n");

		memset(text + len, 'a', SOCKEYE__CONF_LINE_MAX + (size_t)over);
		len += SOCKEYE__CONF_LINE_MAX + (size_t)over;
		len += (size_t)snprintf(text + len, sizeof text - len, "\n}");
		read_text(text, len, true, items, sizeof items, &notes);
		assert_int_equal(notes.broken, over);
		if (over)
			assert_string_equal(notes.list[0].text,
					    "the line has 16385 bytes; at most 16384 are possible");
	}
}

/* The list is bounded, and its counts are not. */
static void test_many_notes(void **state)
{
	static char text[2 * (SOCKEYE__CONF_NOTES_MAX + 7)];
	struct sockeye__conf_notes notes = {.count = 0};
	char items[16];

	(void)state;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = i % 2 ? '\n' : 'x';
	read_text(text, sizeof text, false, items, sizeof items, &notes);
	assert_int_equal(notes.count, SOCKEYE__CONF_NOTES_MAX);
	assert_int_equal(notes.left_out, 7);
	assert_int_equal(notes.broken, SOCKEYE__CONF_NOTES_MAX + 7);
	assert_true(sockeye__conf_notes_fatal(&notes));
}

static void test_excuse(void **state)
{
	struct sockeye__conf_notes notes = {.count = 0};
	struct sockeye__conf_place place = {"f", 1};

	(void)state;
	sockeye__conf_note(&notes, SOCKEYE__CONF_ERROR, place, "a");
	sockeye__conf_note(&notes, SOCKEYE__CONF_ERROR, place, "b");
	sockeye__conf_note(&notes, SOCKEYE__CONF_BROKEN, place, "c");
	sockeye__conf_notes_excuse(&notes, 1, 3);
	assert_int_equal(notes.errors, 1);
	assert_int_equal(notes.warnings, 1);
	assert_int_equal(notes.broken, 1);
	assert_int_equal(notes.list[0].severity, SOCKEYE__CONF_ERROR);
	assert_int_equal(notes.list[1].severity, SOCKEYE__CONF_WARNING);
	assert_int_equal(notes.list[2].severity, SOCKEYE__CONF_BROKEN);
}

static void test_show(void **state)
{
	static const char text[] =
	    "0123456789012345678901234567890123456789012345678901234567890123";
	struct sockeye__slice slice = {text, 63};

	(void)state;
	assert_string_equal(sockeye__conf_show(slice).text,
			    "012345678901234567890123456789012345678901234567890123456789012");
	slice.len = 64;
	assert_string_equal(sockeye__conf_show(slice).text,
			    "012345678901234567890123456789012345678901234567890123456789...");
	slice = (struct sockeye__slice){"a\033\n", 3};
	assert_string_equal(sockeye__conf_show(slice).text, "a\\e\\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_correct),  cmocka_unit_test(test_deviations),
	    cmocka_unit_test(test_not_text), cmocka_unit_test(test_many_notes),
	    cmocka_unit_test(test_excuse),   cmocka_unit_test(test_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
