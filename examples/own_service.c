/*
 * own_service.c: your own service, here rot13, under a server model from the
 * command line. Prints its address.
 *
 *     own_service thread tcp://127.0.0.1:0
 */
#include <stdio.h>

#include <sockeye.h>

static uint8_t rotate(uint8_t c)
{
	uint8_t lower = c | 32;

	if (lower < 'a' || lower > 'z')
		return c;
	return (uint8_t)(lower < 'n' ? c + 13 : c - 13);
}

/* The whole service: takes all input, changes it in place, sends it from the same memory,
 * and closes the connection at end of file. */
static void rot13_turn(void *state, const void *config, struct sockeye_turn *t)
{
	(void)state;
	(void)config;
	for (size_t i = 0; i < t->in_len; i++)
		t->in[i] = rotate(t->in[i]);
	t->in_taken = t->in_len;
	t->out = t->in;
	t->out_len = t->in_len;
	t->close = t->in_end;
}

static const struct sockeye_service rot13 = {.name = "rot13", .turn = rot13_turn};

static int print_address(void *arg, const struct sockeye_ready *ready)
{
	char text[SOCKEYE_ADDR_TEXT_MAX];

	(void)arg;
	for (size_t i = 0; i < ready->count; i++) {
		sockeye_sockaddr_print_url(&ready->sites[i].name, ready->sites[i].scheme, text,
					   sizeof(text));
		puts(text);
	}
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockeye_serve_opts opts = {.on_ready = print_address, .workers = 1};
	struct sockeye_site site = {.service = &rot13};
	struct sockeye_fail why;
	char text[1024];

	if (argc != 3) {
		fprintf(stderr, "usage: own_service MODEL ADDRESS\n");
		return SOCKEYE_EXIT_USAGE;
	}
	opts.model = argv[1];
	if (sockeye_addr_parse(argv[2], &site.addr, &why) == 0 &&
	    sockeye_serve(&site, 1, &opts, &why) == 0)
		return SOCKEYE_EXIT_DONE;
	sockeye_fail_text(&why, text, sizeof(text));
	fprintf(stderr, "%s\n", text);
	return sockeye_error_exit(why.err);
}
