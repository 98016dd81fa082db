/* conf_notes.c: collects errors and warnings about a configuration (conf_notes.h). Pure. */
#include "superserver/conf_notes.h"

#include <stdarg.h>
#include <stdio.h>

#include <sockeye/text.h>

void sockeye__conf_note(struct sockeye__conf_notes *notes, enum sockeye__conf_severity severity,
			struct sockeye__conf_place place, const char *fmt, ...)
{
	struct sockeye__conf_note *note;
	va_list args;

	notes->warnings += severity == SOCKEYE__CONF_WARNING;
	notes->errors += severity == SOCKEYE__CONF_ERROR;
	notes->broken += severity == SOCKEYE__CONF_BROKEN;
	if (notes->count == SOCKEYE__CONF_NOTES_MAX) {
		notes->left_out++;
		return;
	}
	note = &notes->list[notes->count++];
	note->severity = severity;
	note->place = place;
	va_start(args, fmt);
	vsnprintf(note->text, sizeof note->text, fmt, args);
	va_end(args);
}

void sockeye__conf_notes_excuse(struct sockeye__conf_notes *notes, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		if (notes->list[i].severity != SOCKEYE__CONF_ERROR)
			continue;
		notes->list[i].severity = SOCKEYE__CONF_WARNING;
		notes->errors--;
		notes->warnings++;
	}
}

bool sockeye__conf_notes_fatal(const struct sockeye__conf_notes *notes)
{
	return notes->errors + notes->broken > 0;
}

struct sockeye__conf_shown sockeye__conf_show(struct sockeye__slice text)
{
	struct sockeye__conf_shown shown;

	if (sockeye_escape(text.at, text.len, shown.text, sizeof shown.text) >= sizeof shown.text)
		/* The text was truncated, and its last characters make room. */
		snprintf(shown.text + sizeof shown.text - 4, 4, "...");
	return shown;
}
