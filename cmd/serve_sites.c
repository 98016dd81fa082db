/* serve_sites.c: the operands of sockeye serve: services and their addresses. */
#include "commands.h"
#include "cli/address.h"
#include "cli/suggest.h"
#include "cli/words.h"
#include "serve.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOPBACK_PORT 7000 /* added to default ports, so that they need no privileges */

/* Adds an address to serve. Returns CLI_GO or the exit code. */
static int site_add(struct serve *s, const struct sockeye_service *service,
		    const struct sockeye_addr *addr, bool optional)
{
	if (s->site_count == SERVE_SITES_MAX)
		return cli_usage(&s->common, &serve_command, "more than %d addresses",
				 SERVE_SITES_MAX);
	s->sites[s->site_count++].site = (struct sockeye_site){
	    .service = service, .addr = *addr, .config = &s->config, .optional = optional};
	return CLI_GO;
}

int serve_site_add(struct serve *s, const struct sockeye_service *service, const char *address)
{
	struct sockeye_addr addr;
	int code = cli_address(&s->common, &serve_command, address, CLI_LISTENS, &addr);

	return code == CLI_GO ? site_add(s, service, &addr, false) : code;
}

/* Adds TCP and UDP on both loopback addresses, on port 7000 + the default port of the
 * service. Services with their own event loop use only UDP. Returns CLI_GO or the exit
 * code. */
static int site_add_defaults(struct serve *s, const struct sockeye_service *service)
{
	static const struct {
		enum sockeye_scheme scheme;
		const char *host;
		bool optional; /* some machines have no IPv6 */
	} forms[] = {
	    {SOCKEYE_TCP, "127.0.0.1", false},
	    {SOCKEYE_TCP, "::1", true},
	    {SOCKEYE_UDP, "127.0.0.1", false},
	    {SOCKEYE_UDP, "::1", true},
	};
	int code = CLI_GO;

	for (size_t i = 0; i < sizeof forms / sizeof forms[0] && code == CLI_GO; i++) {
		struct sockeye_addr addr = {
		    .scheme = forms[i].scheme,
		    .has_port = true,
		    .port = (uint16_t)(LOOPBACK_PORT + service->port),
		};

		if (serve_feature_of(service) != NULL && addr.scheme != SOCKEYE_UDP)
			continue;
		snprintf(addr.host, sizeof addr.host, "%s", forms[i].host);
		code = site_add(s, service, &addr, forms[i].optional);
	}
	return code;
}

const char *serve_operand(size_t i)
{
	size_t k;

	for (k = 0; sockeye_builtins[k] != NULL; k++, i--)
		if (i == 0)
			return sockeye_builtins[k]->name;
	for (k = 0; serve_features[k] != NULL; k++, i--)
		if (i == 0)
			return serve_features[k]->service->name;
	return cli_scheme_word(i);
}

/* --- bad operands --- */

/* Returns the service with a similar name, or NULL. */
static const char *service_near(const char *word)
{
	const char *names[64];
	size_t count = 0;

	while (count < 64 && (names[count] = serve_operand(count)) != NULL &&
	       serve_service_find(names[count]) != NULL)
		count++;
	return cli_nearest(word, names, count);
}

/* Writes the word, or a similar address, as an address for the service. Returns false if
 * no address is similar. */
static bool address_near(const struct sockeye_service *service, const char *word, char *out,
			 size_t cap)
{
	const char *scheme = serve_feature_of(service) != NULL ? "udp://" : "";
	struct sockeye_addr addr;
	char text[SOCKEYE_ADDR_TEXT_MAX];

	if (cli_address_corrected(word, CLI_LISTENS, text, sizeof text))
		word = text;
	else if (sockeye_addr_parse(word, &addr, NULL) < 0)
		return false;
	return snprintf(out, cap, "%s%s", cli_has_scheme(word) ? "" : scheme, word) < (int)cap;
}

/* Reports a first operand that is not a service, and returns 2. */
static int bad_service(const struct serve *s, const struct cli_operands *operands)
{
	const char *word = operands->v[0], *near = service_near(word);
	const struct sockeye_service *service = NULL;
	struct suggest_edit edits[2] = {{.at = word}, {0}};
	char address[SOCKEYE_ADDR_TEXT_MAX];
	struct suggestion line;
	int i;

	if (near != NULL)
		return cli_usage_try(&s->common, &serve_command, suggest_replace(&line, word, near),
				     "unknown service '%s'", cli_shown(word).text);
	for (i = 1; i < operands->count && service == NULL; i++)
		service = serve_service_find(operands->v[i]);
	if (word[strcspn(word, ":/")] == '\0' && !cli_is_number(word))
		return cli_usage_try(&s->common, &serve_command, "sockeye serve --list",
				     "unknown service '%s'", cli_shown(word).text);
	if (!address_near(service, word, address, sizeof address))
		return cli_usage(&s->common, &serve_command, "unknown service '%s'",
				 cli_shown(word).text);
	edits[0].text = address;
	edits[0].before = service != NULL ? service->name : "echo";
	edits[1].at = service != NULL ? operands->v[i - 1] : NULL;
	return cli_usage_try(&s->common, &serve_command,
			     suggest_edit(&line, edits, service != NULL ? 2 : 1),
			     "no service given for '%s'; put its name first", cli_shown(word).text);
}

/* Reports the name of a file in place of an address of the service, and returns 2. */
static int bad_file(const struct serve *s, const struct sockeye_service *service, const char *word)
{
	const bool udp = serve_feature_of(service) != NULL;
	char address[SOCKEYE_ADDR_TEXT_MAX];
	struct suggestion line = {0};
	struct stat st;
	bool directory = stat(word, &st) == 0 && S_ISDIR(st.st_mode);

	suggest_word(&line, "serve");
	suggest_word(&line, service->name);
	snprintf(address, sizeof address, "%s://*:%u", udp ? "udp" : "tcp",
		 LOOPBACK_PORT + service->port);
	suggest_word(&line, address);
	if (udp) { /* without --root, the proposed line would fail */
		suggest_word(&line, "--root");
		suggest_word(&line, directory ? word : ".");
	}
	return cli_usage_try(&s->common, &serve_command, suggest_text(&line),
			     "'%s' is a %s, not an address (the shell expands a * that is not "
			     "quoted)",
			     cli_shown(word).text, directory ? "directory" : "file");
}

/* Reports operand i, which is not an address of the service, and returns 2. */
static int bad_address(const struct serve *s, const struct sockeye_service *service,
		       const struct cli_operands *operands, int i)
{
	const char *word = operands->v[i], *near = service_near(word);
	const char *next = i + 1 < operands->count ? operands->v[i + 1] : NULL;
	const bool udp = serve_feature_of(service) != NULL;
	struct suggest_edit edits[2] = {{.at = word}, {.at = next}};
	char address[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_addr ignored;
	struct suggestion line = {0};

	if (near != NULL)
		return cli_usage_try(&s->common, &serve_command, suggest_replace(&line, word, near),
				     "unknown service '%s'", cli_shown(word).text);
	if (strchr(word, ':') == NULL && access(word, F_OK) == 0)
		return bad_file(s, service, word);
	if (next != NULL && cli_is_host(word) && cli_is_port(next)) {
		cli_host_port(udp ? "udp" : "tcp", word, next, address, sizeof address);
		edits[0].text = address;
		return cli_usage_try(&s->common, &serve_command, suggest_edit(&line, edits, 2),
				     "'%s' and '%s' belong to one address", cli_shown(word).text,
				     cli_shown(next).text);
	}
	if (udp && address_near(service, word, address, sizeof address))
		return cli_usage_try(&s->common, &serve_command,
				     suggest_replace(&line, word, address),
				     "'%s' is not a UDP address", cli_shown(word).text);
	return cli_address(&s->common, &serve_command, word, CLI_LISTENS, &ignored);
}

#define TRANSLATED_MAX 64

/* The values of options such as --port and --host, which other servers have. */
struct ported {
	const char *port, *host;
	bool taken[TRANSLATED_MAX]; /* whether the word is such an option or its value */
};

/* Reads word i, and its value, if it is an option for port or host. Returns false if the
 * value is missing. */
static bool port_option_read(struct ported *p, int argc, char *const *argv, int i)
{
	const struct {
		const char *name, **value;
	} options[] = {
	    {"-p", &p->port},
	    {"--port", &p->port},
	    {"--host", &p->host},
	    {"--address", &p->host},
	};

	for (size_t k = 0; k < sizeof options / sizeof options[0]; k++) {
		size_t len = strlen(options[k].name);
		const char *value = argv[i] + len;

		if (strncmp(argv[i], options[k].name, len) != 0 ||
		    (len > 2 && *value != '\0' && *value != '='))
			continue;
		p->taken[i] = true;
		value += *value == '=';
		if (*value == '\0' && i + 1 == argc)
			return false;
		if (*value == '\0') {
			p->taken[i + 1] = true;
			value = argv[i + 1];
		}
		*options[k].value = value;
		return true;
	}
	return true;
}

const char *serve_translate(struct suggestion *line)
{
	const struct sockeye_service *service = NULL;
	struct ported p = {.host = ""};
	char address[SOCKEYE_ADDR_TEXT_MAX];
	char *const *argv;
	int argc;

	argv = suggest_argv(&argc);
	if (argc > TRANSLATED_MAX)
		return NULL;
	for (int i = 2; i < argc; i++) {
		if (!p.taken[i] && !port_option_read(&p, argc, argv, i))
			return NULL;
		if (!p.taken[i] && service == NULL)
			service = serve_service_find(argv[i]);
	}
	if (p.port == NULL || !cli_is_port(p.port))
		return NULL;
	cli_host_port(serve_feature_of(service) != NULL ? "udp" : "tcp", p.host, p.port, address,
		      sizeof address);
	for (int i = 1; i < argc; i++) {
		if (!p.taken[i])
			suggest_word(line, argv[i]);
		if (i == 1 && service == NULL)
			suggest_word(line, "echo");
		if (service == NULL ? i == 1 : !p.taken[i] && strcmp(argv[i], service->name) == 0)
			suggest_word(line, address);
	}
	return suggest_text(line);
}

/* --- what to serve --- */

/* Adds operand i as an address of the service. Returns CLI_GO or the exit code. */
static int address_read(struct serve *s, const struct sockeye_service *service,
			const struct cli_operands *operands, int i)
{
	const struct serve_feature *feature = serve_feature_of(service);
	struct sockeye_addr addr;
	int code = CLI_GO;

	if (feature != NULL)
		code = feature->address_check(s, operands->v[i]);
	if (code == CLI_GO && sockeye_addr_parse(operands->v[i], &addr, NULL) < 0)
		return bad_address(s, service, operands, i);
	return code == CLI_GO ? serve_site_add(s, service, operands->v[i]) : code;
}

/* Handles a service without addresses: it gets inherited sockets later or, if there are
 * none, the loopback addresses now. Returns CLI_GO or the exit code. */
static int addresses_default(struct serve *s, struct serve_inherited *in,
			     const struct sockeye_service *service)
{
	if (in->from.count == 0)
		return site_add_defaults(s, service);
	if (in->waiting_count < SERVE_SITES_MAX)
		in->waiting[in->waiting_count++] = service;
	return CLI_GO;
}

/* An address belongs to the last service before it. */
int serve_sites_read(struct serve *s, const struct cli_operands *operands)
{
	static struct serve_inherited in; /* too large for the stack */
	const struct sockeye_service *service = NULL;
	bool has_address = true;
	int code = CLI_GO;

	cli_inherited_take(&in.from);
	s->has_operands = operands->count > 0;
	for (int i = 0; i < operands->count && code == CLI_GO; i++) {
		const struct sockeye_service *named = serve_service_find(operands->v[i]);

		if (named == NULL && service == NULL)
			return bad_service(s, operands);
		if (named == NULL) {
			code = address_read(s, service, operands, i);
			has_address = true;
			continue;
		}
		if (!has_address)
			code = addresses_default(s, &in, service);
		service = named;
		has_address = false;
	}
	if (code == CLI_GO && !has_address)
		code = addresses_default(s, &in, service);
	if (code == CLI_GO && in.from.count > 0 && (in.waiting_count > 0 || !s->has_operands))
		return serve_inherited_share(s, &in);
	if (code == CLI_GO)
		serve_inherited_drop(s, &in);
	for (size_t i = 0; !s->has_operands && sockeye_builtins[i] != NULL && code == CLI_GO; i++)
		code = site_add_defaults(s, sockeye_builtins[i]);
	return code;
}
