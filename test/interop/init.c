/* The only process of the machine that test_tftp_boot.py boots: prints the Adler-32
 * of its file, then switches the machine off. */
#include <stdint.h>
#include <stdio.h>
#include <sys/reboot.h>

int main(void)
{
	uint32_t a = 1;
	uint32_t b = 0;
	FILE *file = fopen("/blob", "rb");

	for (int c; file && (c = getc(file)) != EOF;) {
		a = (a + (uint32_t)c) % 65521;
		b = (b + a) % 65521;
	}
	printf("booted: blob %08x\n", (unsigned)(b << 16 | a));
	fflush(stdout);
	return reboot(RB_POWER_OFF);
}
