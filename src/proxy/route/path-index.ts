/**
 * Which of a list of paths and prefixes fit a path: a radix tree, so that a table of a thousand routes costs a few comparisons. Looking up allocates
 * nothing: candidates come in one reused array.
 */
export class PathIndex {
  readonly #root: Node = makeNode('');
  readonly #found: number[] = [];

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

  /** Indexes that fit the first `end` characters of `path`, ascending. The array is reused by the next call. */
  find(path: string, end: number): readonly number[] {
    const found = this.#found;
    found.length = 0;
    let node: Node | undefined = this.#root;
    let at = 0;
    while (node !== undefined) {
      insert(found, node.prefix);
      if (at === end) {
        insert(found, node.exact);
        insert(found, node.separated);
        break;
      }
      const next = path.charCodeAt(at);
      if (next === SLASH) insert(found, node.separated);
      node = childFor(node, next);
      if (node === undefined || at + node.label.length > end || !path.startsWith(node.label, at)) break;
      at += node.label.length;
    }
    return found;
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
/** Both stay ascending. The lists are short: a walk meets a handful of routes. */
function insert(found: number[], indexes: readonly number[]): void {
  for (let i = 0; i < indexes.length; i++) {
    let at = found.length;
    while (at > 0 && found[at - 1] > indexes[i]) at--;
    if (at === found.length) found.push(indexes[i]);
    else found.splice(at, 0, indexes[i]);
  }
}
