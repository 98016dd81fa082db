/* conf_words.c: splits a configuration file into entries and attributes (conf_words.h).
 * Pure. */
#include "superserver/conf_words.h"

#include <string.h>

#include "base/ascii.h"

#define BLANKS " \t"
#define SPACES " \t\r\v\f" /* isspace(3) without LF */

static bool is_in(const char *set, char c)
{
	return c != '\0' && strchr(set, c) != NULL;
}

bool sockeye__conf_word_take(struct sockeye__slice *rest, struct sockeye__slice *out)
{
	size_t start = 0, end;

	while (start < rest->len && is_in(BLANKS, rest->at[start]))
		start++;
	for (end = start; end < rest->len && !is_in(BLANKS, rest->at[end]);)
		end++;
	if (start == end)
		return false;
	*out = (struct sockeye__slice){rest->at + start, end - start};
	*rest = (struct sockeye__slice){rest->at + end, rest->len - end};
	return true;
}

size_t sockeye__conf_words_count(struct sockeye__slice values)
{
	struct sockeye__slice word;
	size_t count = 0;

	while (sockeye__conf_word_take(&values, &word))
		count++;
	return count;
}

bool sockeye__conf_word_is(struct sockeye__slice word, const char *text)
{
	size_t i = 0;

	for (; i < word.len && text[i] != '\0'; i++)
		if (sockeye__ascii_lower(word.at[i]) != sockeye__ascii_lower(text[i]))
			return false;
	return i == word.len && text[i] == '\0';
}

static struct sockeye__conf_place here(const struct sockeye__conf_words *words)
{
	return (struct sockeye__conf_place){words->file, words->line};
}

/* Report a deviation, which the compatible reader treats as xinetd does: one in the
 * structure of the file, and one in a line of an entry. */
#define DEVIATION(words, severity, ...) \
	sockeye__conf_note((words)->notes, (words)->compat ? SOCKEYE__CONF_WARNING : (severity), \
			   here(words), __VA_ARGS__)
#define MISPLACED(words, ...) DEVIATION(words, SOCKEYE__CONF_BROKEN, __VA_ARGS__)
#define MISTAKEN(words, ...)  DEVIATION(words, SOCKEYE__CONF_ERROR, __VA_ARGS__)

static struct sockeye__slice trimmed(const char *start, const char *end)
{
	while (start < end && is_in(SPACES, *start))
		start++;
	while (end > start && is_in(SPACES, end[-1]))
		end--;
	return (struct sockeye__slice){start, (size_t)(end - start)};
}

bool sockeye__conf_line_check(struct sockeye__conf_notes *notes, struct sockeye__conf_place place,
			      struct sockeye__slice line)
{
	size_t i = 0;

	while (i < line.len && ((unsigned char)line.at[i] >= ' ' || line.at[i] == '\t') &&
	       line.at[i] != 0x7f)
		i++;
	if (i == line.len && line.len <= SOCKEYE__CONF_LINE_MAX)
		return true;
	if (notes == NULL)
		return false;
	if (i < line.len)
		sockeye__conf_note(
		    notes, SOCKEYE__CONF_BROKEN, place, "the line has the control character %s",
		    sockeye__conf_show((struct sockeye__slice){line.at + i, 1}).text);
	else
		sockeye__conf_note(notes, SOCKEYE__CONF_BROKEN, place,
				   "the line has %zu bytes; at most %d are possible", line.len,
				   SOCKEYE__CONF_LINE_MAX);
	return false;
}

/* Reads the next line that is not empty, without the white space around it. Returns false
 * at the end of the text. */
static bool line_take(struct sockeye__conf_words *words, struct sockeye__slice *out)
{
	while (words->at < words->end) {
		const char *start = words->at;
		const char *end = memchr(start, '\n', (size_t)(words->end - start));

		if (end == NULL)
			end = words->end;
		words->at = end < words->end ? end + 1 : end;
		words->line++;
		*out = trimmed(start, end);
		if (out->len > 0)
			return true;
	}
	return false;
}

/* Reads the next line that is neither empty nor a comment. Skips lines that are not text. */
static bool line_next(struct sockeye__conf_words *words, struct sockeye__slice *out)
{
	while (line_take(words, out))
		if (*out->at != '#' && sockeye__conf_line_check(words->notes, here(words), *out))
			return true;
	return false;
}

static bool is_only(struct sockeye__slice line, char brace)
{
	return line.len == 1 && *line.at == brace;
}

static bool is_keyword(struct sockeye__slice word)
{
	return sockeye__conf_word_is(word, "service") || sockeye__conf_word_is(word, "defaults") ||
	       sockeye__conf_word_is(word, "include") || sockeye__conf_word_is(word, "includedir");
}

/* Whether the line begins an entry or includes a file: the word after the keyword is not
 * an operator. */
static bool begins_item(struct sockeye__slice line)
{
	struct sockeye__slice word, second;

	if (!sockeye__conf_word_take(&line, &word) || !is_keyword(word))
		return false;
	return !sockeye__conf_word_take(&line, &second) || !is_in("=+-", *second.at);
}

/* Skips to the next line that has only a }, as xinetd does after a wrong line, and reports
 * the entries that are lost. */
static void skip_lost(struct sockeye__conf_words *words)
{
	struct sockeye__slice line, word;

	while (line_next(words, &line) && !is_only(line, '}')) {
		struct sockeye__slice rest = line;

		if (sockeye__conf_word_take(&rest, &word) && is_keyword(word))
			sockeye__conf_note(
			    words->notes, SOCKEYE__CONF_WARNING, here(words),
			    "'%s' is lost, as under xinetd, because of a mistake before it",
			    sockeye__conf_show(line).text);
	}
}

/* Reads the next line without taking it. */
static bool line_peek(const struct sockeye__conf_words *words, struct sockeye__slice *out)
{
	struct sockeye__conf_words copy = *words;

	copy.notes = NULL; /* the lines will be read again, and reported then */
	return line_next(&copy, out);
}

/* Skips the block of a wrong header, if the header or the next line has its {. */
static void skip_block(struct sockeye__conf_words *words, struct sockeye__slice header)
{
	struct sockeye__slice line;

	if (words->compat) {
		skip_lost(words);
		return;
	}
	if (header.at[header.len - 1] != '{' && (!line_peek(words, &line) || !is_only(line, '{')))
		return;
	while (line_peek(words, &line) && !begins_item(line)) {
		line_next(words, &line);
		if (*line.at == '}')
			return;
	}
}

/* Takes the line with the { of an entry. Returns false if there is no entry. */
static bool open_take(struct sockeye__conf_words *words, struct sockeye__slice header)
{
	struct sockeye__slice line;
	bool found = line_peek(words, &line);

	words->begin = words->line;
	if (found && is_only(line, '{')) {
		line_next(words, &line);
		return true;
	}
	if (header.at[header.len - 1] == '{')
		MISPLACED(words, "{ must be alone on the next line");
	else
		MISPLACED(words, "'%s' has no line with only { after it",
			  sockeye__conf_show(header).text);
	if (words->compat) {
		line_next(words, &line); /* xinetd has read it */
		skip_lost(words);
		return false;
	}
	if (found && *line.at == '{')
		line_next(words, &line);
	return found && !begins_item(line);
}

/* Reports words after those that the line needs. */
static void check_no_more(struct sockeye__conf_words *words, struct sockeye__slice rest,
			  const char *after)
{
	struct sockeye__slice word;

	if (!sockeye__conf_word_take(&rest, &word) || is_only(word, '{'))
		return;
	if (*word.at == '#')
		MISPLACED(words, "# begins a comment only at the start of a line: put the comment "
				 "on its own line");
	else
		MISPLACED(words, "'%s' after %s is ignored: remove it",
			  sockeye__conf_show(word).text, after);
}

static bool entry_begin(struct sockeye__conf_words *words, struct sockeye__slice line,
			struct sockeye__slice rest, struct sockeye__conf_item *item)
{
	if (item->kind == SOCKEYE__CONF_SERVICE && !sockeye__conf_word_take(&rest, &item->name)) {
		MISPLACED(words, "a service needs a name: write 'service NAME'");
		skip_block(words, line);
		return false;
	}
	check_no_more(words, rest,
		      item->kind == SOCKEYE__CONF_SERVICE ? "the service name" : "'defaults'");
	words->inside = open_take(words, line);
	return words->inside;
}

static bool include_take(struct sockeye__conf_words *words, struct sockeye__slice rest,
			 struct sockeye__conf_item *item)
{
	if (!sockeye__conf_word_take(&rest, &item->values)) {
		MISPLACED(words, "'%s' needs a path",
			  item->kind == SOCKEYE__CONF_INCLUDE ? "include" : "includedir");
		if (words->compat)
			skip_lost(words);
		return false;
	}
	check_no_more(words, rest, "the path");
	return true;
}

/* Reads a line outside entries. Returns true if it is an item. */
static bool line_outside(struct sockeye__conf_words *words, struct sockeye__slice line,
			 struct sockeye__conf_item *item)
{
	struct sockeye__slice rest = line, word = line;

	sockeye__conf_word_take(&rest, &word);
	item->line = words->line;
	if (sockeye__conf_word_is(word, "include")) {
		item->kind = SOCKEYE__CONF_INCLUDE;
		return include_take(words, rest, item);
	}
	if (sockeye__conf_word_is(word, "includedir")) {
		item->kind = SOCKEYE__CONF_INCLUDEDIR;
		return include_take(words, rest, item);
	}
	if (sockeye__conf_word_is(word, "defaults") || sockeye__conf_word_is(word, "service")) {
		item->kind = sockeye__conf_word_is(word, "defaults") ? SOCKEYE__CONF_DEFAULTS
								     : SOCKEYE__CONF_SERVICE;
		return entry_begin(words, line, rest, item);
	}
	if (*line.at == '}')
		MISPLACED(words, "} ends no entry: remove it, or add the { that it belongs to");
	else if (*line.at == '{')
		MISPLACED(words, "{ begins no entry: write 'service NAME' on the line before it");
	else
		MISPLACED(words, "'%s' is not service, defaults, include or includedir%s",
			  sockeye__conf_show(word).text,
			  words->compat ? "" : "; xinetd loses the entry after it");
	skip_block(words, line);
	return false;
}

/* Ends an entry that xinetd drops because of a wrong line. */
static void entry_lose(struct sockeye__conf_words *words, struct sockeye__conf_item *item)
{
	*item = (struct sockeye__conf_item){.kind = SOCKEYE__CONF_LOST, .line = item->line};
	words->inside = false;
	skip_lost(words);
}

/* Takes an operator off *rest. */
static enum sockeye__conf_operator operator_take(struct sockeye__slice *rest)
{
	enum sockeye__conf_operator op = SOCKEYE__CONF_SET;
	size_t len = 1;

	if (rest->len > 1 && rest->at[1] == '=' && is_in("+-", *rest->at)) {
		op = *rest->at == '+' ? SOCKEYE__CONF_ADD : SOCKEYE__CONF_REMOVE;
		len = 2;
	} else if (rest->len == 0 || *rest->at != '=') {
		return SOCKEYE__CONF_NO_OPERATOR;
	}
	*rest = trimmed(rest->at + len, rest->at + rest->len);
	return op;
}

/* Splits a line without a blank before its operator, such as port=80. */
static void unspaced_split(struct sockeye__slice line, struct sockeye__conf_item *item)
{
	const char *equals = memchr(line.at, '=', line.len);
	size_t len = (size_t)(equals - line.at);

	if (len > 0 && is_in("+-", equals[-1]))
		len--;
	item->name = (struct sockeye__slice){line.at, len};
	item->values = (struct sockeye__slice){line.at + len, line.len - len};
	item->op = operator_take(&item->values);
}

/* Reports an attribute without a correct operator, and what was meant. */
static void operator_report(struct sockeye__conf_words *words, const char *why,
			    const struct sockeye__conf_item *item)
{
	static const char *const operators[] = {"=", "+=", "-=", "="};
	const char *start = item->values.at, *end = start + item->values.len;
	struct sockeye__slice values;

	while (start < end && is_in(":=+-" BLANKS, *start))
		start++;
	values = trimmed(start, end);
	MISTAKEN(words, "'%s' %s: write '%s %s %s'", sockeye__conf_show(item->name).text, why,
		 sockeye__conf_show(item->name).text, operators[item->op],
		 values.len > 0 ? sockeye__conf_show(values).text : "VALUE");
}

/* Splits the line into name, operator and values. Returns false, and reports why, if it
 * does not have them; then *item is what was meant. */
static bool attribute_split(struct sockeye__conf_words *words, struct sockeye__slice line,
			    struct sockeye__conf_item *item)
{
	struct sockeye__slice rest = line;

	item->name = line; /* which has a word */
	sockeye__conf_word_take(&rest, &item->name);
	if (memchr(item->name.at, '=', item->name.len) != NULL) {
		unspaced_split(line, item);
		operator_report(words, "needs a blank before its operator", item);
		return false;
	}
	item->values = trimmed(rest.at, rest.at + rest.len);
	item->op = operator_take(&item->values);
	if (item->op != SOCKEYE__CONF_NO_OPERATOR)
		return true;
	if (is_only(item->name, '{'))
		MISTAKEN(words, "second { in the entry that begins at line %u", words->begin);
	else
		operator_report(words, "has no operator", item);
	return false;
}

/* Reads a line of an entry. Returns true if it is an item. */
static bool line_inside(struct sockeye__conf_words *words, struct sockeye__slice line,
			struct sockeye__conf_item *item)
{
	item->line = words->line;
	if (*line.at == '}') {
		item->kind = SOCKEYE__CONF_CLOSE;
		words->inside = false;
		if (is_only(line, '}'))
			return true;
		MISPLACED(words,
			  "'%s' does not end the entry for xinetd, which loses this entry "
			  "and the next: } must be alone on its line",
			  sockeye__conf_show(line).text);
		if (words->compat)
			entry_lose(words, item);
		return true;
	}
	if (!words->compat && begins_item(line)) {
		MISPLACED(words, "missing } of the entry that begins at line %u", words->begin);
		item->kind = SOCKEYE__CONF_CLOSE;
		words->inside = false;
		words->at = line.at; /* read the line again, outside the entry */
		words->line--;
		return true;
	}
	item->kind = SOCKEYE__CONF_ATTRIBUTE;
	if (!attribute_split(words, line, item) && words->compat) {
		/* After a line with one word, xinetd reads on in the next line and damages it:
		 * a } there does not end the entry. */
		if (item->name.len == line.len)
			line_take(words, &line);
		entry_lose(words, item);
	}
	return !is_only(item->name, '{');
}

struct sockeye__conf_item sockeye__conf_words_next(struct sockeye__conf_words *words)
{
	struct sockeye__slice line;

	while (line_next(words, &line)) {
		struct sockeye__conf_item item = {.kind = SOCKEYE__CONF_END};

		if (words->inside ? line_inside(words, line, &item)
				  : line_outside(words, line, &item))
			return item;
	}
	if (words->inside) {
		words->inside = false;
		MISPLACED(words, "the entry that begins at line %u has no }", words->begin);
		return (struct sockeye__conf_item){.kind = SOCKEYE__CONF_LOST, .line = words->line};
	}
	return (struct sockeye__conf_item){.kind = SOCKEYE__CONF_END, .line = words->line};
}

void sockeye__conf_words_begin(struct sockeye__conf_words *words, const char *text, size_t len,
			       const char *file, bool compat, struct sockeye__conf_notes *notes)
{
	static const char bom[] = "\xef\xbb\xbf"; /* begins UTF-8 files of Windows editors */
	size_t skipped = len >= 3 && memcmp(text, bom, 3) == 0 ? 3 : 0;

	*words = (struct sockeye__conf_words){
	    .at = text + skipped,
	    .end = text + len,
	    .file = file,
	    .compat = compat,
	    .notes = notes,
	};
}
