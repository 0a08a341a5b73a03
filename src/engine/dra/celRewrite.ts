// The CEL library lacks some of what Kubernetes selectors use. This file turns an expression into an equal one without:
//   has(E.x) where E is not a chain of names  →  E.?x.hasValue()
//   device.attributes[d], device.capacity[d]  →  …[?d].orValue({}): a domain that a device lacks reads as an empty map
//   s.matches(p)                              →  matchesPattern(s, p): a bounded matcher, see celPattern.ts
import type { ASTNode, Environment } from '@marcbachmann/cel-js';

const MAPS: ReadonlySet<string> = new Set(['attributes', 'capacity']);

/** The rewritten source. Throws what the environment's parser throws. */
export function rewriteSelector(environment: Environment, source: string): string {
  return rewrite(source, environment.parse(source).ast);
}

function rewrite(source: string, node: ASTNode): string {
  switch (node.op) {
    case 'call':
      if (node.args[0] === 'has' && node.args[1].length === 1) return rewriteHas(source, node, node.args[1][0]!);
      break;
    case 'rcall':
      if (node.args[0] === 'matches' && node.args[2].length === 1) {
        return `matchesPattern(${rewrite(source, node.args[1])}, ${rewrite(source, node.args[2][0]!)})`;
      }
      break;
    case '[]':
      if (isDomainMap(node.args[0])) return `${text(source, node.args[0])}[?${rewrite(source, node.args[1])}].orValue({})`;
      break;
    case '.':
      if (isDomainMap(node.args[0])) return `${text(source, node.args[0])}.?${node.args[1]}.orValue({})`;
      break;
  }
  return spliceChildren(source, node);
}

function rewriteHas(source: string, call: ASTNode, field: ASTNode): string {
  if (field.op !== '.') return spliceChildren(source, call);
  const [owner, name] = field.args;
  // The library's own has() is right for one step below a name and for the domain maps themselves.
  if (owner.op === 'id' || isDomainMap(owner)) return text(source, call);
  return `(${rewrite(source, owner)}).?${name}.hasValue()`;
}

/** Is the node `device.attributes` or `device.capacity`? */
function isDomainMap(node: ASTNode): boolean {
  return node.op === '.' && MAPS.has(node.args[1]) && node.args[0].op === 'id' && node.args[0].args === 'device';
}

/** The node's own text with its children rewritten. */
function spliceChildren(source: string, node: ASTNode): string {
  let out = '';
  let at = node.start;
  for (const child of childrenOf(node.args).sort((a, b) => a.start - b.start)) {
    out += source.slice(at, child.start) + rewrite(source, child);
    at = child.end;
  }
  return out + source.slice(at, node.end);
}

function childrenOf(args: unknown): ASTNode[] {
  if (Array.isArray(args)) return args.flatMap(childrenOf);
  return isNode(args) ? [args] : [];
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'start' in value;
}

function text(source: string, node: ASTNode): string {
  return source.slice(node.start, node.end);
}
