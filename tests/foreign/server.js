// A ContactList service of another make: the npm package `soap` serves it from our service description.
//
//   NODE_PATH=target/foreign/node/node_modules node tests/foreign/server.js [--people N]
//
// Prints one line of JSON ({"url":…}) when it answers, and ends when its stdin does. SOAP 1.1 and 1.2 on one path.
// Dates are wall time in UTC. The people can be looked at and edited past SOAP, as a user of the CRM would:
//   GET /people            all of them, as JSON
//   POST /people           one, as JSON: {"entityId":…, fields to change}; without entityId a new one. Answers with it.
//   DELETE /people/ID      marks one as deleted
'use strict';

const fs = require('fs');
const http = require('http');
const path = require('path');
const soap = require('soap');

const PATH = '/CatalystWebService/CatalystCRMWebservice.asmx';
const ADDRESS = 'http://localhost' + PATH;
const SOAP_11 = 'http://schemas.xmlsoap.org/soap/envelope/';
const SOAP_12 = 'http://www.w3.org/2003/05/soap-envelope';
const PAGE_SIZE = 100;
const LOGIN = { username: 'sync@example.com', password: 's3cret<&>', siteId: 12345 };
const NO_DATE = '0001-01-01T00:00:00';

// Every field in the order of the description; the package writes fields in the order of the object.
const FIELDS = [
  ['entityId', 'value'], ['externalId', 'text'], ['emailAddress', 'text'], ['contactTitle', 'text'], ['deleted', 'value'],
  ['fullName', 'text'], ['firstName', 'text'], ['lastName', 'text'], ['username', 'text'], ['password', 'text'],
  ['dateOfBirth', 'value'], ['createDate', 'value'], ['lastUpdateDate', 'value'], ['customerType', 'text'],
  ['industryType', 'text'], ['leadSourceType', 'text'], ['ratingType', 'text'], ['relationships', 'Relationship'],
  ['addresses', 'Address'], ['phoneNos', 'PhoneNo'], ['crmForms', 'CrmForms'], ['MasterOptIn', 'value'],
];

const people = new Map();
let nextId = 5001;

function now() {
  return new Date().toISOString().slice(0, 19);
}

function email(person) {
  const phones = (person.phoneNos && person.phoneNos.PhoneNo) || [];
  const seven = phones.find((phone) => phone && phone.phoneNoTypeID === 7);
  return person.emailAddress || (seven && seven.phoneNo) || '';
}

function ordered(person) {
  const record = {};
  for (const [name] of FIELDS) {
    if (person[name] !== undefined && person[name] !== null) record[name] = person[name];
  }
  return record;
}

function living(test) {
  return [...people.values()].find((person) => !person.deleted && test(person));
}

function blank() {
  return { entityId: nextId++, deleted: false, dateOfBirth: NO_DATE, createDate: now(), lastUpdateDate: now(), MasterOptIn: false };
}

// What a pushed record does to a person: a missing text stays, an empty one goes, a present list replaces.
function take(person, sent) {
  for (const [name, kind] of FIELDS) {
    if (['entityId', 'createDate', 'lastUpdateDate'].includes(name)) continue;
    const value = sent[name];
    if (kind === 'value') {
      person[name] = value === undefined || value === null ? (name === 'dateOfBirth' ? NO_DATE : false) : value;
    } else if (kind === 'text') {
      if (value === '' || value === null) delete person[name];
      else if (value !== undefined) person[name] = name === 'password' ? undefined : value;
    } else if (value === null) {
      delete person[name];
    } else if (value !== undefined) {
      person[name] = value;
    }
  }
  person.lastUpdateDate = now();
}

function refuse(soap12, sentence) {
  const text = 'Server was unable to process request. ---> ERROR: ' + sentence;
  throw {
    Fault: soap12
      ? { Code: { Value: 'soap:Receiver' }, Reason: { Text: text }, statusCode: 500 }
      : { faultcode: 'soap:Server', faultstring: text, statusCode: 500 },
  };
}

function operations(soap12) {
  const enter = (args) => {
    for (const name of Object.keys(LOGIN)) {
      if (args[name] !== LOGIN[name]) refuse(soap12, 'Authentication failed.');
    }
  };
  const single = (result, find) => (args) => {
    enter(args);
    const person = find(args);
    if (!person) refuse(soap12, 'Contact record could not be retrieved.');
    return { [result]: ordered(person) };
  };
  const remove = (result, find) => (args) => {
    enter(args);
    const person = find(args);
    const there = Boolean(person) && !person.deleted;
    if (there) {
      person.deleted = true;
      person.lastUpdateDate = now();
    }
    return { [result]: there };
  };
  const byMail = (address) => living((person) => address && email(person).toLowerCase() === address.toLowerCase());
  return {
    ContactList_Retrieve(args) {
      enter(args);
      const changed = [...people.values()].filter((person) => person.lastUpdateDate >= args.lastUpdateDate);
      changed.sort((a, b) => (a.lastUpdateDate < b.lastUpdateDate ? -1 : a.lastUpdateDate > b.lastUpdateDate ? 1 : a.entityId - b.entityId));
      const page = changed.slice(args.recordStart, args.recordStart + PAGE_SIZE);
      const answer = { recordStart: args.recordStart, moreRecords: changed.length > args.recordStart + PAGE_SIZE };
      if (page.length === 0) return answer;
      return { ContactList_RetrieveResult: { ContactRecord: page.map(ordered) }, ...answer };
    },
    ContactList_UpdateInsert(args) {
      enter(args);
      for (const sent of (args.contactsList && args.contactsList.ContactRecord) || []) {
        if (!sent) continue;
        let person = sent.externalId ? living((one) => one.externalId === sent.externalId) : byMail(email(sent));
        if (!person) {
          person = blank();
          people.set(person.entityId, person);
        }
        take(person, sent);
      }
      return {};
    },
    Contact_RetrieveByEntityID: single('Contact_RetrieveByEntityIDResult', (args) => people.get(args.entityId)),
    Contact_RetrieveByExternalID: single('Contact_RetrieveByExternalIDResult', (args) =>
      living((person) => args.externalId && person.externalId === args.externalId)),
    Contact_RetrieveByEmailAddress: single('Contact_RetrieveByEmailAddressResult', (args) => byMail(args.emailAddress)),
    Contact_DeleteByEntityID: remove('Contact_DeleteByEntityIDResult', (args) => people.get(args.entityId)),
    Contact_DeleteByEmailAddress: remove('Contact_DeleteByEmailAddressResult', (args) => byMail(args.email)),
  };
}

function seed(count) {
  const names = [['Łukasz', 'Müller <0> & co'], ['D\'Arcy', 'Smith-Jones'], ['مريم', 'O"Neil'], ['小龙', '李  ']];
  for (let number = 0; number < count; number++) {
    const [firstName, lastName] = names[number % names.length];
    const person = Object.assign(blank(), {
      externalId: 'N' + String(number).padStart(6, '0'),
      emailAddress: number % 5 === 4 ? undefined : `node.${number}@example.org`,
      firstName,
      lastName,
      dateOfBirth: number % 7 === 0 ? NO_DATE : `19${50 + (number % 50)}-03-0${1 + (number % 9)}T00:00:00`,
      createDate: '2019-01-01T00:00:00',
      lastUpdateDate: new Date(Date.UTC(2020, 0, 1) + Math.floor(number / 3) * 1000).toISOString().slice(0, 19),
      customerType: ['Member', 'Prospect', 'Lapsed'][number % 3],
      phoneNos: { PhoneNo: [{ phoneNoTypeID: 7, phoneNo: `node.${number}@example.org` }, { phoneNoTypeID: 5, phoneNo: `+61 400 ${number}` }] },
      MasterOptIn: number % 2 === 0,
    });
    if (number % 2 === 0) {
      person.addresses = { Address: [{ addressTypeID: 1, addressLine1: `${number} High St`, city: 'Łódź', countryCode: 'PL' }, { addressTypeID: 8, city: 'Perth', countryCode: 'AU' }] };
      person.crmForms = { CrmForms: [{ formId: 542957, formName: 'Membership', crmFormFields: { CrmFormFields: [{ fieldId: 1, fieldTypeId: 1, fieldName: 'Company Name', fieldValue: `Company ${number}` }] } }] };
    }
    people.set(person.entityId, person);
  }
}

// Looking at and editing the people past SOAP.
function backdoor(req, res) {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    const json = (value) => {
      res.setHeader('Content-Type', 'application/json');
      res.end(JSON.stringify(value));
    };
    const id = Number((/^\/people\/(\d+)$/.exec(req.url) || [])[1]);
    if (req.method === 'GET' && req.url === '/people') {
      json([...people.values()].map(ordered));
    } else if (req.method === 'POST' && req.url === '/people') {
      const change = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      const person = people.get(change.entityId) || blank();
      Object.assign(person, change, { lastUpdateDate: change.lastUpdateDate || now() });
      people.set(person.entityId, person);
      json(ordered(person));
    } else if (req.method === 'DELETE' && people.has(id)) {
      Object.assign(people.get(id), { deleted: true, lastUpdateDate: now() });
      json(ordered(people.get(id)));
    } else {
      res.statusCode = 404;
      res.end();
    }
  });
}

function main() {
  const at = process.argv.indexOf('--people');
  seed(at < 0 ? 0 : Number(process.argv[at + 1]));
  const server = http.createServer(backdoor);
  server.listen(0, '127.0.0.1', () => {
    const url = `http://127.0.0.1:${server.address().port}${PATH}`;
    const file = path.join(__dirname, '../../wsdl/contactlist/catalystcrm.wsdl');
    const xml = fs.readFileSync(file, 'utf8').split(ADDRESS).join(url);
    let ready = 0;
    for (const soap12 of [false, true]) {
      const methods = operations(soap12);
      const listening = soap.listen(server, {
        path: (soap12 ? '/soap12' : '') + PATH,
        services: { CatalystCRMWebservice: { CatalystCRMWebserviceSoap: methods, CatalystCRMWebserviceSoap12: methods } },
        xml,
        forceSoap12Headers: soap12,
        // A date without offset is nobody's instant: it stays the text that it is.
        customDeserializer: { dateTime: (text) => text },
        callback: (error) => {
          if (error) throw error;
          if (++ready < 2) return;
          // The package speaks one version a path: the content type says which is meant.
          const inner = server.listeners('request').slice();
          server.removeAllListeners('request');
          const pass = (req, res) => inner.forEach((listener) => listener.call(server, req, res));
          server.on('request', (req, res) => {
            if (!(req.headers['content-type'] || '').startsWith('application/soap+xml')) return pass(req, res);
            req.url = '/soap12' + req.url;
            // The package types a 1.2 request only under the prefix `soap`, a 1.1 request under any.
            const chunks = [];
            req.on('data', (chunk) => chunks.push(chunk));
            req.on('end', () => {
              req.body = Buffer.concat(chunks).toString('utf8').replace(SOAP_12, SOAP_11);
              pass(req, res);
            });
          });
          console.log(JSON.stringify({ url, ...LOGIN, timeZone: 'UTC' }));
        },
      });
      // `listen` takes no such option, but the reader knows it: a text keeps its spaces.
      listening.wsdl.options.preserveWhitespace = true;
    }
  });
  // Whoever started this is gone when stdin ends.
  process.stdin.on('end', () => process.exit(0));
  process.stdin.resume();
}

main();
