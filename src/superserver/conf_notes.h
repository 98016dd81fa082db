/*
 * conf_notes.h: the errors and warnings about a configuration. Reading continues after
 * an error, so that one run reports all of them. Pure: the caller owns the memory.
 */
#ifndef SOCKEYE_SUPERSERVER_CONF_NOTES_H
#define SOCKEYE_SUPERSERVER_CONF_NOTES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define SOCKEYE__CONF_NOTES_MAX 200

/* A line of a file, counted from 1. File NULL: no place. */
struct sockeye__conf_place {
	const char *file;
	unsigned line;
};

enum sockeye__conf_severity {
	SOCKEYE__CONF_WARNING,
	SOCKEYE__CONF_ERROR,
	/* An error about the lines of a file and not about one entry: a wrong brace, a lost
	 * entry. It remains an error if the entry is disabled. */
	SOCKEYE__CONF_BROKEN,
};

struct sockeye__conf_note {
	struct sockeye__conf_place place;
	enum sockeye__conf_severity severity;
	char text[320]; /* printable */
};

/* Zeroed: none. */
struct sockeye__conf_notes {
	struct sockeye__conf_note list[SOCKEYE__CONF_NOTES_MAX];
	size_t count;                    /* in the list */
	size_t left_out;                 /* for lack of room in the list */
	size_t errors, broken, warnings; /* all, also those left out */
};

/* Adds a note. Peer and file bytes in the text must be escaped (sockeye__conf_show()). */
void sockeye__conf_note(struct sockeye__conf_notes *notes, enum sockeye__conf_severity severity,
			struct sockeye__conf_place place, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Turns the errors list[from..to) into warnings, because the entry that they are about is
 * disabled. Broken lines remain errors. */
void sockeye__conf_notes_excuse(struct sockeye__conf_notes *notes, size_t from, size_t to);

/* Whether there is any error. */
bool sockeye__conf_notes_fatal(const struct sockeye__conf_notes *notes);

/* Part of a line with escaped control characters, for a message. */
struct sockeye__conf_shown {
	char text[64];
};
struct sockeye__conf_shown sockeye__conf_show(struct sockeye__slice text);

#endif
