// From a walk to a tree of a bounded number of nodes with places. Draws nothing.

const PER_PARENT = 2;

const idOf = (node) => `${node.source_id}/${node.level}/${node.index}`;

/** Nodes that are drawn: those that led to passages first, then the best of every level. */
export function chosenNodes(walk, mostLeaves) {
  const kept = walk.flatMap((level) =>
    level.kept.map((node, rank) => ({ ...node, id: idOf(node), rank, state: node.is_on_path ? "path" : "kept" })));
  const known = new Map(kept.map((node) => [node.id, node]));
  for (const node of kept) {
    node.parent = kept.find((other) => isParent(other, node)) ?? null;
  }
  const taken = new Map();
  let leaves = 0;
  const take = (node) => {
    if (taken.has(node.id)) return;
    if (node.parent) take(node.parent);
    const isFirstChild = node.parent && node.parent.numDrawn === 0;
    if (node.parent) node.parent.numDrawn += 1;
    if (!isFirstChild) leaves += 1;
    node.numDrawn = 0;
    taken.set(node.id, node);
  };
  const order = [...kept].sort(
    (a, b) => b.is_on_path - a.is_on_path || a.rank - b.rank || b.level - a.level);
  const most = Math.ceil(mostLeaves * 0.75);
  for (const node of order) if (node.is_on_path || leaves < most) take(node);
  // Of levels of which not all that were kept are told, nobody here knows what was left aside.
  const isTold = new Set(
    walk.filter((level) => level.kept.length === level.num_kept).map((level) => level.level));
  for (const parent of [...taken.values()].filter((node) => isTold.has(node.level - 1))) {
    let more = PER_PARENT;
    for (let index = parent.first_child; index < parent.end_child && more > 0; index += 1) {
      const node = { source_id: parent.source_id, source: parent.source, level: parent.level - 1, index };
      node.id = idOf(node);
      if (known.has(node.id)) continue;
      if (leaves >= mostLeaves) break;
      take({ ...node, parent, state: "seen", start_byte: null });
      more -= 1;
    }
  }
  return [...taken.values()];
}

const isParent = (above, node) =>
  above.source_id === node.source_id && above.level === node.level + 1 &&
  above.first_child <= node.index && node.index < above.end_child;

/** Gives each node `x` in 0..1, in the order of the text, parents over their children. */
export function placeNodes(nodes) {
  const inOrder = (a, b) => a.source_id - b.source_id || firstLeaf(a) - firstLeaf(b);
  const firstLeaf = (node) => node.start_byte ?? node.parent.start_byte + node.index - node.parent.first_child;
  const childrenOf = (parent) => nodes.filter((node) => node.parent === parent).sort(inOrder);
  let slot = 0;
  const put = (node) => {
    const children = childrenOf(node);
    children.forEach(put);
    node.x = children.length ? (children[0].x + children.at(-1).x) / 2 : slot++ + 0.5;
  };
  childrenOf(null).forEach(put);
  for (const node of nodes) node.x /= Math.max(slot, 1);
}
