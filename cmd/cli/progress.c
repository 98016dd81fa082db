/* progress.c: the progress line (progress.h). */
#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <sockeye/text.h>

#include "cli/report.h"

#define WIDTH_UNKNOWN 80
#define ERASE_LINE    "\r\033[K"

void progress_open(struct progress *p, const struct cli_common *common, uint64_t now_ns)
{
	const char *term = getenv("TERM");
	bool dumb = !term || !*term || strcmp(term, "dumb") == 0;

	*p = (struct progress){
	    .shown = !dumb && !common->quiet && !common->json && isatty(STDERR_FILENO),
	    .color = report_color(common, STDERR_FILENO),
	};
	sockeye__progress_rate_add(&p->meter, now_ns, 0);
}

static unsigned terminal_width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
									       : WIDTH_UNKNOWN;
}

void progress_draw(struct progress *p, const char *name, uint64_t bytes, uint64_t size,
		   uint64_t now_ns)
{
	char seen[256], line[1024];
	struct sockeye__progress_line view = {
	    .name = seen, .bytes = bytes, .size = size, .color = p->color};

	if (!p->shown)
		return;
	sockeye_escape(name, strlen(name), seen, sizeof seen);
	sockeye__progress_rate_add(&p->meter, now_ns, bytes);
	view.rate = sockeye__progress_rate_per_s(&p->meter);
	view.width = terminal_width();
	sockeye__progress_line_print(&view, line, sizeof line);
	fprintf(stderr, ERASE_LINE "%s", line);
	fflush(stderr);
	p->drawn = true;
}

void progress_clear(struct progress *p)
{
	if (p->drawn)
		fputs(ERASE_LINE, stderr);
	p->drawn = false;
}
