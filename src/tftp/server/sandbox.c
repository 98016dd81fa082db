/* sandbox.c: restrict a TFTP worker to its files (landlock(7)). */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tftp/server/internal.h"

/* Since Linux 5.19 and 6.2; the headers of Debian 12 may lack them. */
#define ACCESS_REFER    (UINT64_C(1) << 13)
#define ACCESS_TRUNCATE (UINT64_C(1) << 14)

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR)
#define ACCESS_FIRST ((UINT64_C(1) << 13) - 1) /* all rights of the first ABI version */

/* Returns all rights that this kernel can restrict, or 0 if it has no Landlock. */
static uint64_t access_known(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 1)
		return 0;
	return ACCESS_FIRST | (abi >= 2 ? ACCESS_REFER : 0) | (abi >= 3 ? ACCESS_TRUNCATE : 0);
}

static int allow(int rules, int folder, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = folder};

	return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		   ? -errno
		   : 0;
}

/* Allows reading every file: symbolic links may lead anywhere. */
static int allow_all_reading(int rules)
{
	int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), err;

	if (top < 0)
		return -errno;
	err = allow(rules, top, ACCESS_READ);
	close(top);
	return err;
}

int sockeye__tftp_sandbox(const struct sockeye__tftp_server *server)
{
	const struct sockeye__tftp_server_config *c = &server->config;
	struct landlock_ruleset_attr attr = {.handled_access_fs = access_known()};
	uint64_t access = ACCESS_READ;
	int rules, err;

	if (attr.handled_access_fs == 0)
		return -EOPNOTSUPP;
	if (c->store.upload)
		access |=
		    ACCESS_WRITE | ((ACCESS_REFER | ACCESS_TRUNCATE) & attr.handled_access_fs);
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
	if (rules < 0)
		return -errno;
	err = allow(rules, server->store.root, access);
	if (err == 0 && c->store.links == SOCKEYE__LINKS_ANY)
		err = allow_all_reading(rules);
	if (err == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = -errno;
	if (err == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		err = -errno;
	close(rules);
	return err;
}
