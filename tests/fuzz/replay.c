/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In place of libFuzzer: gives a fuzzer's function every file of the folders that are named, so that whatever it found
 * once is tried with every compiler and at every run of the tests. A folder that is not there holds nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
	FILE *file = fopen(path, "r");
	uint8_t *data;
	long size;

	if (!file || fseek(file, 0, SEEK_END) < 0 || (size = ftell(file)) < 0) {
		perror(path);
		return -1;
	}
	rewind(file);
	data = malloc(size ? (size_t)size : 1); /* no byte more, for the sanitizers */
	if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) {
		perror(path);
		return -1;
	}
	fclose(file);
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned n = 0;

	for (int i = 1; i < argc; i++) {
		DIR *folder = opendir(argv[i]);

		for (const struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder)) {
			char path[4096];

			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			if (replay(path) < 0)
				return 1;
			n++;
		}
		if (folder)
			closedir(folder);
	}
	printf("%u inputs\n", n);
	return n ? 0 : 1;
}
