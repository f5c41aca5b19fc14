/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compose/compose.h"

/* What parses can be placed beside a machine; what does not says why. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *find(const char *name, void *data)
{
	(void)data;
	return name[0] == 'A' ? "8080" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct compose_variables variables = { find, NULL };
	const struct compose_options options = { .folder = "fuzz", .variables = &variables };
	_cleanup_(inventory_freep) struct inventory *inventory = inventory_new(), *copy = NULL;
	_cleanup_(compose_freep) struct compose *compose = NULL;
	struct compose_variable *env = NULL;
	struct error error = { 0 };
	size_t n = 0;

	if (compose_env_parse((const char *)data, size, ".env", &env, &n, &error) >= 0)
		compose_env_free(env, n);
	error = (struct error){ 0 };
	if (compose_parse((const char *)data, size, "fuzz", &options, &compose, &error) < 0) {
		if (error.code == 0 || !*error.text)
			abort();
		return 0;
	}
	if (!inventory || compose_place(compose, inventory) < 0)
		abort();
	copy = inventory_copy(inventory);
	if (!copy || copy->n_containers != inventory->n_containers || copy->n_endpoints != inventory->n_endpoints)
		abort();
	return 0;
}
