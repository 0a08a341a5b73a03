// What a claim asks for, read once per distinct `spec.devices` (spec 03 sections 11.2, 11.5).
import { asList, asNumber, asRecord, asText, asTexts, type JsonRecord } from './json.ts';

/** Counts saturate here: 2^63 − 1 as a double (spec 02 section 2.5). */
const MAX_COUNT = Number(2n ** 63n - 1n);

/** One `spec.devices.requests[]`. */
export interface DeviceRequest {
  readonly name: string;
  readonly className: string;
  /** Mode All: every matching device of the node; else exactly `count`. */
  readonly isAll: boolean;
  readonly count: number;
  /** CEL expressions of the request itself, without those of its class. */
  readonly selectors: readonly string[];
  readonly tolerations: readonly unknown[];
  /** '' or why no allocator without optional features takes the request; follows the request's name in messages. */
  readonly refusal: string;
}

/** All devices of the named requests (none named = of all requests) have the same value of the attribute. */
export interface MatchConstraint {
  readonly requests: readonly string[];
  /** "domain/id" */
  readonly attribute: string;
}

export interface ClaimShape {
  /** Number of the shape: equal shapes are one object. */
  readonly id: number;
  readonly requests: readonly DeviceRequest[];
  /** Null = of a kind that is not supported. */
  readonly constraints: readonly (MatchConstraint | null)[];
  /** `spec.devices.config[]` as written. */
  readonly configs: readonly JsonRecord[];
  /** GPU devices that the claim counts for (11.2). */
  readonly gpuCount: number;
  /** Its first GPU device class, '' = none: the claim is no GPU claim. */
  readonly gpuClass: string;
  /** Requests with an `exactly` part, for the class check of 11.4. */
  readonly exact: readonly { readonly request: string; readonly className: string }[];
}

/** a + b, at most 2^63 − 1. */
export function addSaturating(a: number, b: number): number {
  return Math.min(a + b, MAX_COUNT);
}

/** Does the name of a device class or driver tell of GPUs? */
export function isGpuName(name: string): boolean {
  return name.toLowerCase().includes('gpu');
}

/** Shapes by content. */
export class ClaimShapes {
  readonly #byText = new Map<string, ClaimShape>();

  /** The shape of a `spec.devices`, however malformed. */
  of(devices: unknown): ClaimShape {
    const text = JSON.stringify(devices) ?? '';
    let shape = this.#byText.get(text);
    if (shape === undefined) {
      shape = readShape(this.#byText.size, asRecord(devices));
      this.#byText.set(text, shape);
    }
    return shape;
  }
}

function readShape(id: number, devices: JsonRecord): ClaimShape {
  const records = asList(devices['requests']).map(asRecord);
  const requests = records.map(readRequest);
  let gpuCount = 0;
  let gpuClass = '';
  const exact: { request: string; className: string }[] = [];
  records.forEach((record, i) => {
    if (!hasExactly(record)) return;
    const request = requests[i]!;
    exact.push({ request: request.name, className: request.className });
    if (!isGpuName(request.className)) return;
    if (gpuClass === '') gpuClass = request.className;
    gpuCount = addSaturating(gpuCount, countedDevices(asRecord(record['exactly'])));
  });
  return {
    id,
    requests,
    constraints: asList(devices['constraints']).map(asRecord).map(readConstraint),
    configs: asList(devices['config']).map(asRecord),
    gpuCount,
    gpuClass,
    exact,
  };
}

function hasExactly(record: JsonRecord): boolean {
  return typeof record['exactly'] === 'object' && record['exactly'] !== null;
}

/** An absent mode is ExactCount and an absent count 1, as the API server fills them in. */
function modeOf(exactly: JsonRecord): string {
  return asText(exactly['allocationMode']) || 'ExactCount';
}

function exactCount(exactly: JsonRecord): number {
  const count = asNumber(exactly['count'], 1);
  return count > 0 ? Math.min(count, MAX_COUNT) : 1;
}

function countedDevices(exactly: JsonRecord): number {
  switch (modeOf(exactly)) {
    case 'ExactCount':
      return exactCount(exactly);
    case 'All':
      return 1;
    default:
      return 0;
  }
}

function readRequest(record: JsonRecord): DeviceRequest {
  const exactly = asRecord(record['exactly']);
  const selectors = asList(exactly['selectors']).map((s) => asText(asRecord(asRecord(s)['cel'])['expression']));
  return {
    name: asText(record['name']),
    className: asText(exactly['deviceClassName']),
    isAll: modeOf(exactly) === 'All',
    count: exactCount(exactly),
    selectors,
    tolerations: asList(exactly['tolerations']),
    refusal: refusalOf(record, exactly, selectors),
  };
}

function refusalOf(record: JsonRecord, exactly: JsonRecord, selectors: readonly string[]): string {
  if (asList(record['firstAvailable']).length > 0) return ': has subrequests, but the DRAPrioritizedList feature is disabled';
  const empty = selectors.indexOf('');
  if (empty >= 0) return `, selector #${empty}: CEL expression empty (unsupported selector type?)`;
  if (exactly['adminAccess'] === true || exactly['adminAccess'] === false)
    return ': admin access is requested, but the feature is disabled';
  if (Object.keys(asRecord(exactly['capacity'])).length > 0)
    return ': capacity is requested, but the DRAConsumableCapacity feature is disabled';
  if (asText(exactly['deviceClassName']) === '') return ': missing device class name (unsupported request type?)';
  const mode = modeOf(exactly);
  return mode === 'ExactCount' || mode === 'All' ? '' : `: unsupported count mode ${mode}`;
}

function readConstraint(record: JsonRecord): MatchConstraint | null {
  const attribute = asText(record['matchAttribute']);
  return attribute === '' ? null : { requests: asTexts(record['requests']), attribute };
}
