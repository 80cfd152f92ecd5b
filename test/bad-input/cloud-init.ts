// Data for cloud-init: broken, twice, none, too much.
import { badVmi, type BadCase, INVALID, WRONG_TYPE, type Expected } from './case.ts';

const VOLUME = 'spec.volumes[1]';
const AT = `${VOLUME}.cloudInitNoCloud`;

const bad = (what: string, cloudInitNoCloud: unknown, ...causes: Expected[]): BadCase =>
  badVmi(what, { [VOLUME]: { name: 'seed', cloudInitNoCloud } }, ...causes);

export const cloudInit: readonly BadCase[] = [
  bad('broken base64', { userDataBase64: 'not base64!' }, [`${AT}.userDataBase64`, INVALID, 'not a valid base64']),
  bad('both texts of user data', { userData: 'a', userDataBase64: 'YQ==' }, [AT, INVALID, 'only one userdatasource']),
  bad('text and a Secret', { userData: 'a', secretRef: { name: 's' } }, [AT, INVALID, 'only one userdatasource']),
  bad('no user data', {}, [AT, INVALID, 'at least one userdatasource']),
  bad('empty user data', { userData: '' }, [AT, INVALID, 'at least one userdatasource']),
  bad('2049 bytes of user data', { userData: 'x'.repeat(2049) }, [AT, INVALID, 'exceeds 2048 byte limit']),
  bad('2049 bytes of user data in letters of two', { userData: 'é'.repeat(1025) }, [
    AT,
    INVALID,
    'exceeds 2048 byte limit',
  ]),
  bad('2049 bytes in base64', { userDataBase64: Buffer.alloc(2049).toString('base64') }, [
    AT,
    INVALID,
    'exceeds 2048 byte limit',
  ]),
  bad('2049 bytes of network data', { userData: 'a', networkData: 'x'.repeat(2049) }, [
    AT,
    INVALID,
    'networkdata exceeds 2048 byte limit',
  ]),
  bad('a map as user data', { userData: { hostname: 'x' } }, [`${AT}.userData`, WRONG_TYPE, 'must be of type string']),
  badVmi(
    'two volumes of cloud-init',
    {
      [VOLUME]: { name: 'seed', cloudInitNoCloud: { userData: 'a' } },
      'spec.volumes[2]': { name: 'more', cloudInitNoCloud: { userData: 'b' } },
    },
    ['spec.volumes', INVALID, 'must have max one cloudInitNoCloud volume set'],
  ),
];
