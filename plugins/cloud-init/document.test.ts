import { describe, expect, it } from 'vitest';
import { documentOf, filesOf } from './document.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const NO_CLOUD = new Map([
  ['meta-data', bytes('instance-id: "a: b"\nlocal-hostname: "vm"\n')],
  ['user-data', bytes('#!/bin/sh\n')],
  ['network-config', bytes('version: 2\n')],
]);

describe('the document that other plugins may rewrite', () => {
  it("is KubeVirt's, and gives the same files back", () => {
    const document = documentOf('cloudInitNoCloud', 'data', NO_CLOUD);
    expect(JSON.parse(document)).toEqual({
      DataSource: 'noCloud',
      NoCloudMetaData: { 'instance-id': 'a: b', 'local-hostname': 'vm' },
      UserData: '#!/bin/sh\n',
      NetworkData: 'version: 2\n',
      VolumeName: 'data',
    });
    expect(filesOf('cloudInitNoCloud', 'data', document)).toEqual(NO_CLOUD);
  });

  it('has the metadata of a config drive under its own name, and no network data where there is none', () => {
    const files = new Map([
      ['openstack/latest/meta_data.json', bytes('{"uuid":"u"}')],
      ['openstack/latest/user_data', bytes('')],
    ]);
    const document = documentOf('cloudInitConfigDrive', 'data', files);
    expect(JSON.parse(document)).toMatchObject({ DataSource: 'configDrive', ConfigDriveMetaData: { uuid: 'u' } });
    expect(filesOf('cloudInitConfigDrive', 'data', document)).toEqual(files);
  });

  it.each([
    ['{', 'is no JSON'],
    ['{"UserData": "a"}', 'has no metadata'],
    ['{"NoCloudMetaData": {}, "UserData": 1}', 'UserData or NetworkData is no text'],
    ['{"NoCloudMetaData": {}}', 'UserData or NetworkData is no text'],
  ])('that comes back as %s is an error that names the volume, and not the data', (document, why) => {
    expect(() => filesOf('cloudInitNoCloud', 'data', document)).toThrow(
      `volume data: its data came back changed, and ${why}`,
    );
  });
});
