// CEL selectors over devices, in the environment that Kubernetes gives them (resource.k8s.io DeviceSelector).
import { Environment, type ParseResult } from '@marcbachmann/cel-js';
import { matchesPattern } from './celPattern.ts';
import { rewriteSelector } from './celRewrite.ts';
import { CelQuantity, CelSemver, unitsToNano } from './celTypes.ts';
import { asRecord, type JsonRecord } from './json.ts';

/** Longest expression that the API accepts (`CELSelectorExpressionMaxLength`). */
const MAX_EXPRESSION_BYTES = 10 * 1024;

/** What a selector said of a device: `problem` is '' unless the expression failed. */
export interface Verdict {
  readonly matches: boolean;
  readonly problem: string;
}

type Compiled = { readonly run: ParseResult; readonly problem: '' } | { readonly run: null; readonly problem: string };

/** Compiles expressions, keeping the last used ones, and evaluates them on devices. */
export class SelectorCompiler {
  readonly #environment: Environment = selectorEnvironment();
  readonly #compiled = new Map<string, Compiled>();
  readonly #maxEntries: number;

  /** `maxEntries`: plugin argument `maxCelCacheEntries` (spec 03 section 11.8). */
  constructor(maxEntries: number) {
    this.#maxEntries = Math.max(1, maxEntries);
  }

  /** Evaluates on a device as `celDevice` makes it. Never throws: failures are the verdict's problem. */
  evaluate(expression: string, device: CelDevice): Verdict {
    const compiled = this.#compile(expression);
    if (compiled.run === null) return { matches: false, problem: `CEL compile error: ${compiled.problem}` };
    if (device.problem !== '') return { matches: false, problem: `CEL runtime error: ${device.problem}` };
    try {
      const result: unknown = compiled.run({ device: device.value });
      if (typeof result === 'boolean') return { matches: result, problem: '' };
      return { matches: false, problem: 'CEL runtime error: the result is not a bool' };
    } catch (error) {
      return { matches: false, problem: `CEL runtime error: ${messageOf(error)}` };
    }
  }

  #compile(expression: string): Compiled {
    const known = this.#compiled.get(expression);
    if (known !== undefined) {
      // Re-insertion keeps the map in order of last use.
      this.#compiled.delete(expression);
      this.#compiled.set(expression, known);
      return known;
    }
    const compiled = compile(this.#environment, expression);
    if (this.#compiled.size >= this.#maxEntries) {
      for (const oldest of this.#compiled.keys()) {
        this.#compiled.delete(oldest);
        break;
      }
    }
    this.#compiled.set(expression, compiled);
    return compiled;
  }
}

function compile(environment: Environment, expression: string): Compiled {
  if (expression.length > MAX_EXPRESSION_BYTES) return { run: null, problem: `longer than ${MAX_EXPRESSION_BYTES} bytes` };
  try {
    const run = environment.parse(rewriteSelector(environment, expression));
    const check = run.check();
    if (!check.valid) return { run: null, problem: messageOf(check.error) };
    if (check.type === 'bool' || check.type === 'dyn') return { run, problem: '' };
    return { run: null, problem: `must evaluate to bool or the unknown type, not ${check.type ?? 'nothing'}` };
  } catch (error) {
    return { run: null, problem: messageOf(error) };
  }
}

/** First line only: the library appends a drawing of the position. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n', 1)[0]!;
}

/** A device as selectors see it; `problem` names an attribute that cannot be read. */
export interface CelDevice {
  readonly value: JsonRecord;
  readonly problem: string;
}

/** `device.driver`, `device.attributes[domain].id`, `device.capacity[domain].id`; names without a domain belong to the driver's. */
export function celDevice(driver: string, attributes: JsonRecord, capacity: JsonRecord): CelDevice {
  let problem = '';
  const readAttribute = (value: unknown, name: string): unknown => {
    const read = attributeValue(asRecord(value));
    if (read === undefined) problem = `attribute ${name}: unsupported attribute value`;
    return read;
  };
  const readCapacity = (value: unknown, name: string): unknown => {
    const text = asRecord(value)['value'];
    const read = typeof text === 'string' || typeof text === 'number' ? CelQuantity.parse(String(text)) : null;
    if (read === null) problem = `capacity ${name}: not a quantity`;
    return read;
  };
  const value = {
    driver,
    attributes: byDomain(driver, attributes, readAttribute),
    capacity: byDomain(driver, capacity, readCapacity),
  };
  return { value, problem };
}

function byDomain(driver: string, fields: JsonRecord, read: (value: unknown, name: string) => unknown): JsonRecord {
  const domains = new Map<string, [string, unknown][]>();
  for (const name of Object.keys(fields).sort()) {
    const slash = name.indexOf('/');
    const domain = slash < 0 ? driver : name.slice(0, slash);
    const entries = domains.get(domain) ?? [];
    domains.set(domain, entries);
    entries.push([name.slice(slash + 1), read(fields[name], name)]);
  }
  // fromEntries defines own fields, so that a name such as __proto__ is only a name.
  return Object.fromEntries([...domains].map(([domain, entries]) => [domain, Object.fromEntries(entries)] as const));
}

/** CEL wants integers as BigInt. Undefined when no known field is set. */
function attributeValue(attribute: JsonRecord): unknown {
  const { int, bool, string, version } = attribute;
  if (typeof int === 'number' && Number.isInteger(int)) return BigInt(int);
  if (typeof bool === 'boolean') return bool;
  if (typeof string === 'string') return string;
  if (typeof version === 'string') return CelSemver.parse(version, false) ?? undefined;
  return undefined;
}

function selectorEnvironment(): Environment {
  const env = new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false });
  env.registerVariable('device', 'dyn');
  env.registerFunction('matchesPattern(string, string): bool', matchesPattern);
  registerQuantities(env);
  registerVersions(env);
  return env;
}

function registerQuantities(env: Environment): void {
  env.registerType('Quantity', { ctor: CelQuantity, fields: {} });
  env.registerFunction('quantity(string): Quantity', (text: string) => required(CelQuantity.parse(text), `${text}: not a quantity`));
  env.registerFunction('isQuantity(string): bool', (text: string) => CelQuantity.parse(text) !== null);
  env.registerFunction('Quantity.compareTo(Quantity): int', (a: CelQuantity, b: CelQuantity) => a.compareTo(b));
  env.registerFunction('Quantity.isGreaterThan(Quantity): bool', (a: CelQuantity, b: CelQuantity) => a.nano > b.nano);
  env.registerFunction('Quantity.isLessThan(Quantity): bool', (a: CelQuantity, b: CelQuantity) => a.nano < b.nano);
  env.registerFunction('Quantity.sign(): int', (a: CelQuantity) => a.compareTo(new CelQuantity(0n)));
  env.registerFunction('Quantity.isInteger(): bool', (a: CelQuantity) => a.isInteger());
  env.registerFunction('Quantity.asInteger(): int', (a: CelQuantity) => a.asInteger());
  env.registerFunction('Quantity.asApproximateFloat(): double', (a: CelQuantity) => a.asApproximateFloat());
  env.registerFunction('Quantity.add(Quantity): Quantity', (a: CelQuantity, b: CelQuantity) => a.plus(b.nano));
  env.registerFunction('Quantity.add(int): Quantity', (a: CelQuantity, b: bigint) => a.plus(unitsToNano(b)));
  env.registerFunction('Quantity.sub(Quantity): Quantity', (a: CelQuantity, b: CelQuantity) => a.plus(-b.nano));
  env.registerFunction('Quantity.sub(int): Quantity', (a: CelQuantity, b: bigint) => a.plus(-unitsToNano(b)));
  env.registerOperator('Quantity == Quantity', (a: CelQuantity, b: CelQuantity) => a.nano === b.nano);
}

function registerVersions(env: Environment): void {
  const read = (text: string, normalize: boolean): CelSemver =>
    required(CelSemver.parse(text, normalize), `${text}: not a semantic version`);
  env.registerType('Semver', { ctor: CelSemver, fields: {} });
  env.registerFunction('semver(string): Semver', (text: string) => read(text, false));
  env.registerFunction('semver(string, bool): Semver', read);
  env.registerFunction('isSemver(string): bool', (text: string) => CelSemver.parse(text, false) !== null);
  env.registerFunction('isSemver(string, bool): bool', (text: string, normalize: boolean) => CelSemver.parse(text, normalize) !== null);
  env.registerFunction('Semver.major(): int', (a: CelSemver) => a.numbers[0]);
  env.registerFunction('Semver.minor(): int', (a: CelSemver) => a.numbers[1]);
  env.registerFunction('Semver.patch(): int', (a: CelSemver) => a.numbers[2]);
  env.registerFunction('Semver.compareTo(Semver): int', (a: CelSemver, b: CelSemver) => a.compareTo(b));
  env.registerFunction('Semver.isGreaterThan(Semver): bool', (a: CelSemver, b: CelSemver) => a.compareTo(b) > 0n);
  env.registerFunction('Semver.isLessThan(Semver): bool', (a: CelSemver, b: CelSemver) => a.compareTo(b) < 0n);
  env.registerOperator('Semver == Semver', (a: CelSemver, b: CelSemver) => a.compareTo(b) === 0n);
}

function required<T>(value: T | null, message: string): T {
  if (value === null) throw new Error(message);
  return value;
}
