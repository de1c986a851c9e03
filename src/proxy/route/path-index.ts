/**
 * Which of a list of paths and prefixes fit a path: a radix tree, so that a table of a thousand routes costs a few comparisons. Looking up allocates
 * nothing: candidates come in one reused array, which is never cut (an array that is empty gives its memory back).
 */
export class PathIndex {
  readonly #root: Node = makeNode('');
  readonly #found: number[] = [];
  #count = 0;

  /** Entry `index` fits this very path. Entries are added in ascending order. */
  addExact(path: string, index: number): void {
    this.#nodeFor(path).exact.push(index);
  }
  /** Entry `index` fits every path that starts so. */
  addPrefix(prefix: string, index: number): void {
    this.#nodeFor(prefix).prefix.push(index);
  }
  /** Entry `index` fits this path, and what continues it after a `/`. */
  addSeparatedPrefix(prefix: string, index: number): void {
    this.#nodeFor(prefix).separated.push(index);
  }

  /** Looks for the entries that fit the first `end` characters of `path`, and answers how many there are; `at` gives them until the next call. */
  find(path: string, end: number): number {
    this.#count = 0;
    let node: Node | undefined = this.#root;
    let at = 0;
    while (node !== undefined) {
      this.#insert(node.prefix);
      if (at === end) {
        this.#insert(node.exact);
        this.#insert(node.separated);
        break;
      }
      const next = path.charCodeAt(at);
      if (next === SLASH) this.#insert(node.separated);
      node = childFor(node, next);
      if (node === undefined || at + node.label.length > end || !path.startsWith(node.label, at)) break;
      at += node.label.length;
    }
    return this.#count;
  }
  /** Index of a found entry; they ascend. */
  at(found: number): number {
    return this.#found[found];
  }

  /** What is found stays ascending. The lists are short: a walk meets a handful of routes. */
  #insert(indexes: readonly number[]): void {
    const found = this.#found;
    for (let i = 0; i < indexes.length; i++) {
      let at = this.#count++;
      for (; at > 0 && found[at - 1] > indexes[i]; at--) found[at] = found[at - 1];
      found[at] = indexes[i];
    }
  }
  #nodeFor(text: string): Node {
    let node = this.#root;
    let at = 0;
    while (at < text.length) {
      const child = childFor(node, text.charCodeAt(at));
      if (child === undefined) {
        const leaf = makeNode(text.slice(at));
        node.children.push(leaf);
        return leaf;
      }
      let same = 0;
      while (same < child.label.length && child.label[same] === text[at + same]) same++;
      at += same;
      node = same === child.label.length ? child : split(node, child, same);
    }
    return node;
  }
}

const SLASH = 0x2f;

interface Node {
  label: string;
  readonly children: Node[];
  readonly prefix: number[];
  readonly separated: number[];
  readonly exact: number[];
}
const makeNode = (label: string): Node => ({ label, children: [], prefix: [], separated: [], exact: [] });

function childFor(node: Node, code: number): Node | undefined {
  const { children } = node;
  for (let i = 0; i < children.length; i++) if (children[i].label.charCodeAt(0) === code) return children[i];
  return undefined;
}
/** Puts a node in between for the first `length` characters of `child`. */
function split(parent: Node, child: Node, length: number): Node {
  const middle = makeNode(child.label.slice(0, length));
  child.label = child.label.slice(length);
  middle.children.push(child);
  parent.children[parent.children.indexOf(child)] = middle;
  return middle;
}
