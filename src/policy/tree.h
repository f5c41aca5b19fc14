/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SPR_POLICY_TREE_H
#define SPR_POLICY_TREE_H

#include <jansson.h>

#include "policy/policy.h"

/*
 * A YAML document as a tree of jansson objects, arrays and strings: every scalar is text, the schema gives it a type.
 * The tree knows where each node stands.
 */

#define TREE_DEPTH_MAX 32
#define TREE_NODES_MAX (1u << 21)
#define TREE_ANCHORS_MAX 500

struct tree;

/*
 * Reads one document. Anchors, aliases, tags, a key twice, tabs that indent, a second document, what is not UTF-8 and
 * the limits above are -EINVAL; text over POLICY_TEXT_MAX is -E2BIG; the message begins with name:line:column. The
 * text need not end in NUL.
 */
int tree_parse(const char *text, size_t length, const char *name, struct tree **ret, struct error *error);
/*
 * The same for documents of others, in which anchors and aliases mean what they mean in YAML: one node is in several
 * places then, and whoever walks the whole tree may walk for ever, though never deeper than TREE_DEPTH_MAX. It stands where
 * its anchor is.
 */
int tree_parse_aliases(const char *text, size_t length, const char *name, struct tree **ret, struct error *error);
struct tree *tree_free(struct tree *tree);
DEFINE_CLEANUP(struct tree *, tree_free)

/* NULL for a document without content. Lives as long as the tree. */
json_t *tree_root(const struct tree *tree);

struct place tree_place(const struct tree *tree, const json_t *node);
struct place tree_key_place(const struct tree *tree, const json_t *node); /* of the key before a value */
bool tree_is_plain(const struct tree *tree, const json_t *node); /* a scalar without quotation marks */
bool tree_is_null(const struct tree *tree, const json_t *node); /* nothing, ~ or null */

/* Where `word` stands, after `skip` others like it, inside the entry that begins at `entry`; entry when it does not. */
struct place tree_find(const struct tree *tree, struct place entry, const char *word, unsigned skip);

#endif
