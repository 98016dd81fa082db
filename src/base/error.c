/*
 * error.c: the name, the text and the exit code of each error.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <sockeye/error.h>

#include "base/out.h"

#define ERRNO_MAX 4095 /* the kernel's MAX_ERRNO: our own codes are below -4095 */

struct own {
	int err;
	int exit; /* enum sockeye_exit */
	const char *name;
	const char *text;
};

static const struct own owns[] = {
#define OWN_ROW(name, code, exit, text) {(code), SOCKEYE_EXIT_##exit, #name, text},
    SOCKEYE_ERRORS(OWN_ROW)
#undef OWN_ROW
};

static const struct own *own_find(int err)
{
	for (size_t i = 0; i < sizeof owns / sizeof owns[0]; i++)
		if (owns[i].err == err)
			return &owns[i];
	return NULL;
}

/* Uses strerrordesc_np() and strerrorname_np(), which are pure: strerror() depends on
 * the locale and may write into a static buffer. */
const char *sockeye_error_text(int err)
{
	const struct own *own = own_find(err);
	const char *text;

	if (err >= 0)
		return "Success";
	if (own != NULL)
		return own->text;
	text = err >= -ERRNO_MAX ? strerrordesc_np(-err) : NULL;
	return text != NULL ? text : "Unknown error";
}

const char *sockeye_error_name(int err)
{
	const struct own *own = own_find(err);
	const char *name;

	if (err >= 0)
		return "OK";
	if (own != NULL)
		return own->name;
	name = err >= -ERRNO_MAX ? strerrorname_np(-err) : NULL;
	return name != NULL ? name : "UNKNOWN";
}

/* The exit codes of errno values. Those not listed exit with 1. */
static const struct {
	int err;
	int exit; /* enum sockeye_exit */
} exits[] = {
    {ECONNREFUSED, SOCKEYE_EXIT_REFUSED},

    {ETIMEDOUT, SOCKEYE_EXIT_TIMED_OUT},
    {ETIME, SOCKEYE_EXIT_TIMED_OUT},

    {EADDRNOTAVAIL, SOCKEYE_EXIT_NETWORK},
    {EHOSTDOWN, SOCKEYE_EXIT_NETWORK},
    {EHOSTUNREACH, SOCKEYE_EXIT_NETWORK},
    {EMSGSIZE, SOCKEYE_EXIT_NETWORK},
    {ENETDOWN, SOCKEYE_EXIT_NETWORK},
    {ENETRESET, SOCKEYE_EXIT_NETWORK},
    {ENETUNREACH, SOCKEYE_EXIT_NETWORK},
    {ENONET, SOCKEYE_EXIT_NETWORK},

    {ECONNABORTED, SOCKEYE_EXIT_RESET},
    {ECONNRESET, SOCKEYE_EXIT_RESET},
    {ENOTCONN, SOCKEYE_EXIT_RESET},
    {EPIPE, SOCKEYE_EXIT_RESET},
    {ESHUTDOWN, SOCKEYE_EXIT_RESET},

    {EBADMSG, SOCKEYE_EXIT_PROTOCOL},
    {EPROTO, SOCKEYE_EXIT_PROTOCOL},

    {EACCES, SOCKEYE_EXIT_LOCAL},
    {EADDRINUSE, SOCKEYE_EXIT_LOCAL},
    {EAGAIN, SOCKEYE_EXIT_LOCAL}, /* fork at RLIMIT_NPROC, or a full UNIX backlog */
    {EBADF, SOCKEYE_EXIT_LOCAL},
    {EBUSY, SOCKEYE_EXIT_LOCAL},
    {EDQUOT, SOCKEYE_EXIT_LOCAL},
    {EEXIST, SOCKEYE_EXIT_LOCAL},
    {EFBIG, SOCKEYE_EXIT_LOCAL},
    {EIO, SOCKEYE_EXIT_LOCAL},
    {EISDIR, SOCKEYE_EXIT_LOCAL},
    {ELOOP, SOCKEYE_EXIT_LOCAL},
    {EMFILE, SOCKEYE_EXIT_LOCAL},
    {ENAMETOOLONG, SOCKEYE_EXIT_LOCAL},
    {ENFILE, SOCKEYE_EXIT_LOCAL},
    {ENOBUFS, SOCKEYE_EXIT_LOCAL},
    {ENODEV, SOCKEYE_EXIT_LOCAL},
    {ENOENT, SOCKEYE_EXIT_LOCAL},
    {ENOMEM, SOCKEYE_EXIT_LOCAL},
    {ENOSPC, SOCKEYE_EXIT_LOCAL},
    {ENOTDIR, SOCKEYE_EXIT_LOCAL},
    {ENOTSOCK, SOCKEYE_EXIT_LOCAL},
    {ENXIO, SOCKEYE_EXIT_LOCAL},
    {EPERM, SOCKEYE_EXIT_LOCAL},
    {EROFS, SOCKEYE_EXIT_LOCAL},
    {ETXTBSY, SOCKEYE_EXIT_LOCAL},

    {EAFNOSUPPORT, SOCKEYE_EXIT_UNSUPPORTED},
    {ENOPROTOOPT, SOCKEYE_EXIT_UNSUPPORTED},
    {ENOSYS, SOCKEYE_EXIT_UNSUPPORTED},
    {EOPNOTSUPP, SOCKEYE_EXIT_UNSUPPORTED},
    {EPFNOSUPPORT, SOCKEYE_EXIT_UNSUPPORTED},
    {EPROTONOSUPPORT, SOCKEYE_EXIT_UNSUPPORTED},
    {ESOCKTNOSUPPORT, SOCKEYE_EXIT_UNSUPPORTED},

    {ECANCELED, SOCKEYE_EXIT_INTERRUPTED},
    {EINTR, SOCKEYE_EXIT_INTERRUPTED},
};

int sockeye_error_exit(int err)
{
	const struct own *own = own_find(err);

	if (err >= 0)
		return SOCKEYE_EXIT_DONE;
	if (own != NULL)
		return own->exit;
	for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++)
		if (exits[i].err == -(long)err)
			return exits[i].exit;
	return SOCKEYE_EXIT_FAILURE;
}

/* What a user can do about an error. A call that knows the cause writes the cause into the
 * detail and sets `explained`, so that no hint is added. The first row that matches is
 * used. */
static const struct {
	const char *op; /* NULL: any */
	int err;
	const char *prefix; /* of the address; "" matches any */
	const char *hint;
} hints[] = {
    {"bind", -EACCES, "unix", "you need write permission in the directory of the path"},
    {"bind", -ENOENT, "unix", "create the directory of the path first"},
    {"bind", -EADDRINUSE, "unix", "ss -xlp shows which process uses that name"},
    {"bind", -EADDRINUSE, "udp", "ss -ulnp shows which process uses that port"},
    {"bind", -EADDRINUSE, "tftp", "ss -ulnp shows which process uses that port"},
    {"bind", -EADDRINUSE, "", "ss -ltnp shows which process listens there"},
    {"listen", -EADDRINUSE, "", "ss -ltnp shows which process listens there"},
    {"connect", -ECONNREFUSED, "", "nothing listens there"},
    {NULL, -ECONNREFUSED, "tftp", "nothing listens there"},
    {"connect", -ENOENT, "unix", "the server is not running, or it uses another path"},
    {"connect", -EACCES, "unix", "check the permissions of the socket and of its directories"},
    {"connect", -ETIMEDOUT, "", "the host is down, or a firewall drops the packets"},
    {"connect", -ENETUNREACH, "", "no route leads there; ip route shows all routes"},
    {NULL, -EMFILE, "", "raise the limit of open files: ulimit -n"},
    {NULL, -ENFILE, "", "raise the system's limit of open files: sysctl fs.file-max"},
    {"become user", SOCKEYE_E_NONAME, "", "getent passwd lists all users"},
    {"become user", -EPERM, "", "only root can switch to another user"},
    {NULL, SOCKEYE_E_NONAME, "", "getent ahosts NAME shows what the resolver finds"},
    {NULL, SOCKEYE_E_SERVICE, "", "use a number, or a name from /etc/services"},
    {NULL, SOCKEYE_E_PATH_TOO_LONG, "", "use a shorter path, or an abstract name: unix:@NAME"},
};

static const char *hint_find(const struct sockeye_fail *fail)
{
	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
		if (hints[i].err == fail->err &&
		    (hints[i].op == NULL || strcmp(hints[i].op, fail->op) == 0) &&
		    strncmp(fail->address, hints[i].prefix, strlen(hints[i].prefix)) == 0)
			return hints[i].hint;
	}
	return NULL;
}

size_t sockeye_fail_text(const struct sockeye_fail *fail, char *buf, size_t cap)
{
	struct sockeye__out out = sockeye__out_to(buf, cap);
	const char *hint = fail->explained ? NULL : hint_find(fail);

	sockeye__out_text(&out, fail->op);
	if (fail->address[0] != '\0') {
		sockeye__out_text(&out, " ");
		sockeye__out_escaped(&out, fail->address, strlen(fail->address), true);
	}
	sockeye__out_text(&out, ": ");
	sockeye__out_text(&out, sockeye_error_text(fail->err));
	if (fail->detail[0] != '\0') {
		sockeye__out_text(&out, " (");
		sockeye__out_escaped(&out, fail->detail, strlen(fail->detail), true);
		sockeye__out_text(&out, ")");
	}
	if (hint != NULL) {
		sockeye__out_text(&out, "; ");
		sockeye__out_text(&out, hint);
	}
	return out.len;
}
