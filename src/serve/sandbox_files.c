/* sandbox_files.c: limits the files and the network of a worker (landlock(7)). */
#include "serve/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The headers of Debian 12 lack what later versions of Landlock added: version 2 (Linux
 * 5.19), 3 (6.2), 4 (6.7), 5 (6.10) and 6 (6.12). */
#define ACCESS_REFER     (UINT64_C(1) << 13)
#define ACCESS_TRUNCATE  (UINT64_C(1) << 14)
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_ALL          UINT64_C(3) /* bind and connect TCP sockets */
#define SCOPE_ABSTRACT   (UINT64_C(1) << 0)
#define SCOPE_SIGNAL     (UINT64_C(1) << 1)

#define ACCESS_FIRST ((UINT64_C(1) << 13) - 1) /* all rights of version 1 */
#define ACCESS_READ  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | ACCESS_REFER | ACCESS_TRUNCATE)

/* struct landlock_ruleset_attr of version 6. Older kernels accept it while the fields that
 * they do not know are 0. */
struct ruleset {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

/* Everything that this kernel can restrict. Returns false if it has no Landlock. */
static bool known(struct ruleset *out)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	*out = (struct ruleset){
	    .handled_access_fs = ACCESS_FIRST | (abi >= 2 ? ACCESS_REFER : 0) |
				 (abi >= 3 ? ACCESS_TRUNCATE : 0) |
				 (abi >= 5 ? ACCESS_IOCTL_DEV : 0),
	    .handled_access_net = abi >= 4 ? NET_ALL : 0,
	    .scoped = abi >= 6 ? SCOPE_ABSTRACT | SCOPE_SIGNAL : 0,
	};
	return abi >= 1;
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

int sockeye__sandbox_files_try(void)
{
	struct ruleset all;

	return known(&all) ? 0 : -errno;
}

int sockeye__sandbox_files(const struct sockeye__sandbox *needs, bool abstract)
{
	const bool writes = (needs->calls & SOCKEYE__CALLS_WRITE) != 0;
	struct ruleset all;
	int rules, err = 0;

	if (!known(&all))
		return -EOPNOTSUPP;
	if (abstract)
		all.scoped &= ~SCOPE_ABSTRACT;
	rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
	if (rules < 0)
		return -errno;
	if (needs->calls & SOCKEYE__CALLS_READ)
		err = allow(rules, needs->root,
			    ACCESS_READ | (writes ? ACCESS_WRITE & all.handled_access_fs : 0));
	if (err == 0 && needs->reads_all)
		err = allow_all_reading(rules);
	if (err == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = -errno;
	if (err == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		err = -errno;
	close(rules);
	return err;
}
