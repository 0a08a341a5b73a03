// resource.k8s.io/v1beta1 has two shapes of its own; everything behind this file reads the shapes of v1 (v1beta2 is the same).

type Fields = Readonly<Record<string, unknown>>;

/** The object in the shape of v1; objects of other versions and kinds are given back as they are. */
export function inNewestShape(object: Fields, plural: string, version: string): Fields {
  if (version !== 'v1beta1') return object;
  if (plural === 'resourceclaims') return withField(object, 'spec', (spec) => withField(spec, 'devices', withExactRequests));
  if (plural === 'resourceslices') return withField(object, 'spec', withFlatDevices);
  return object;
}

/** v1beta1 has the fields of a single choice in the request itself, v1 under `exactly`. */
function withExactRequests(devices: Fields): Fields {
  return mapList(devices, 'requests', (request) => {
    if (request.firstAvailable !== undefined || request.deviceClassName === undefined) return request;
    const { name, ...exactly } = request;
    return { name, exactly };
  });
}

/** v1beta1 has a device's attributes and capacity under `basic`. */
function withFlatDevices(spec: Fields): Fields {
  return mapList(spec, 'devices', ({ basic, ...device }) => ({ ...device, ...(isFields(basic) ? basic : {}) }));
}

function withField(object: Fields, field: string, change: (value: Fields) => Fields): Fields {
  const value = object[field];
  return isFields(value) ? { ...object, [field]: change(value) } : object;
}

function mapList(object: Fields, field: string, change: (item: Fields) => Fields): Fields {
  const list = object[field];
  return Array.isArray(list) ? { ...object, [field]: list.map((item: unknown) => (isFields(item) ? change(item) : item)) } : object;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
