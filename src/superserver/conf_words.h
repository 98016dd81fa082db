/*
 * conf_words.h: splits a configuration file of xinetd into its entries and attributes,
 * by the grammar of xinetd.conf(5) and of xinetd 2.3.15's own reader:
 *
 *	file    = { "include" PATH | "includedir" PATH | entry }
 *	entry   = ( "defaults" | "service" NAME ) "{" { NAME OP { VALUE } } "}"
 *	OP      = "=" | "+=" | "-="
 *
 * Each brace is alone on its line. A line whose first character other than white space
 * is # is a comment; elsewhere, # is an ordinary character. There are no quotes, escapes
 * or continued lines. Keywords do not depend on case. The end of a line may be CR LF, and
 * the last line may lack one.
 *
 * The strict reader reports each deviation as an error and goes on with what was meant,
 * so that one mistake causes one message. The compatible reader reports the same as
 * warnings and loses the entries that xinetd loses.
 *
 * Pure: the text belongs to the caller, and all slices point into it.
 */
#ifndef SOCKEYE_SUPERSERVER_CONF_WORDS_H
#define SOCKEYE_SUPERSERVER_CONF_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "superserver/conf_notes.h"

#define SOCKEYE__CONF_LINE_MAX 16384 /* bytes; xinetd's limit */

enum sockeye__conf_item_kind {
	SOCKEYE__CONF_END,        /* of the file */
	SOCKEYE__CONF_INCLUDE,    /* values: the path */
	SOCKEYE__CONF_INCLUDEDIR, /* values: the path */
	SOCKEYE__CONF_DEFAULTS,   /* the entry begins */
	SOCKEYE__CONF_SERVICE,    /* the entry begins; name: its service */
	SOCKEYE__CONF_ATTRIBUTE,
	SOCKEYE__CONF_CLOSE, /* the entry ends */
	SOCKEYE__CONF_LOST,  /* the entry ends and must be dropped */
};

enum sockeye__conf_operator {
	SOCKEYE__CONF_SET,         /* = */
	SOCKEYE__CONF_ADD,         /* += */
	SOCKEYE__CONF_REMOVE,      /* -= */
	SOCKEYE__CONF_NO_OPERATOR, /* already reported; only in the strict reader */
};

struct sockeye__conf_item {
	enum sockeye__conf_item_kind kind;
	unsigned line;
	struct sockeye__slice name;
	enum sockeye__conf_operator op;
	struct sockeye__slice values; /* for sockeye__conf_word_take() */
};

struct sockeye__conf_words {
	const char *at, *end; /* the rest of the text */
	const char *file;     /* for messages */
	unsigned line;        /* number of the line read last */
	bool compat;          /* do what xinetd does */
	bool inside;          /* an entry */
	unsigned begin;       /* the line where it begins */
	struct sockeye__conf_notes *notes;
};

/* Starts to read a text. `file` and `notes` must outlive the reader. */
void sockeye__conf_words_begin(struct sockeye__conf_words *words, const char *text, size_t len,
			       const char *file, bool compat, struct sockeye__conf_notes *notes);

/* Returns the next item. After SOCKEYE__CONF_DEFAULTS or _SERVICE, attributes follow, and
 * then _CLOSE or _LOST. After _END, it returns _END again. */
struct sockeye__conf_item sockeye__conf_words_next(struct sockeye__conf_words *words);

/* Returns false, and reports why, if a line has a control character or is too long.
 * `notes` may be NULL. */
bool sockeye__conf_line_check(struct sockeye__conf_notes *notes, struct sockeye__conf_place place,
			      struct sockeye__slice line);

/* Takes the first word off *rest. Returns false if there is none. Blanks and tabs
 * separate words. */
bool sockeye__conf_word_take(struct sockeye__slice *rest, struct sockeye__slice *out);

/* Returns the number of words. */
size_t sockeye__conf_words_count(struct sockeye__slice values);

/* Compares without regard to the case of ASCII letters, as xinetd does for everything but
 * paths, users and environment variables. */
bool sockeye__conf_word_is(struct sockeye__slice word, const char *text);

#endif
