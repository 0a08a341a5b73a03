// Device classes and the extended resources that they serve (spec 03 section 11.9).
import { parseRfc3339Ms } from '../../base/time.ts';
import { asList, asRecord, asText, type JsonRecord } from './json.ts';

const IMPLICIT_PREFIX = 'deviceclass.resource.kubernetes.io/';

export interface DeviceClass {
  readonly name: string;
  /** CEL expressions; '' = a selector of an unknown kind. */
  readonly selectors: readonly string[];
  /** `spec.config[]` as written. */
  readonly configs: readonly JsonRecord[];
  readonly extendedResourceName: string;
  /** NaN = unknown, then older than any known time. */
  readonly createdMs: number;
}

/** Reads a projected DeviceClass. */
export function readDeviceClass(name: string, object: JsonRecord): DeviceClass {
  const spec = asRecord(object['spec']);
  return {
    name,
    selectors: asList(spec['selectors']).map((s) => asText(asRecord(asRecord(s)['cel'])['expression'])),
    configs: asList(spec['config']).map(asRecord),
    extendedResourceName: asText(spec['extendedResourceName']),
    createdMs: parseRfc3339Ms(asText(asRecord(object['metadata'])['creationTimestamp'])),
  };
}

/**
 * Class by extended resource name: explicit names first, the younger class where two share one, then the smaller name;
 * every class also has its implicit name (deviation of 11.9: also the class that lost its explicit one).
 */
export function mapResources(classes: Iterable<DeviceClass>): ReadonlyMap<string, string> {
  const owner = new Map<string, DeviceClass>();
  const sorted = [...classes].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const c of sorted) {
    if (c.extendedResourceName === '') continue;
    const before = owner.get(c.extendedResourceName);
    if (before === undefined || age(c) > age(before)) owner.set(c.extendedResourceName, c);
  }
  for (const c of sorted) {
    const name = IMPLICIT_PREFIX + c.name;
    if (!owner.has(name)) owner.set(name, c);
  }
  return new Map([...owner].map(([name, c]) => [name, c.name] as const));
}

function age(c: DeviceClass): number {
  return Number.isNaN(c.createdMs) ? -Infinity : c.createdMs;
}
