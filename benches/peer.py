"""A first load as a script would do it: requests + lxml, page after page, into one SQLite table.

peer.py ENDPOINT SITE_ID USERNAME PASSWORD DATABASE; prints how many contacts it read. It keeps no state, checks
nothing and finds no edit: it is the peer that docs/performance.md measures a first load against.
"""

import sqlite3
import sys
from xml.sax.saxutils import escape

import requests
from lxml import etree

NS = "{http://tempuri.org/CatalystDeveloperService/CatalystCRMWebservice}"
PLAIN = [
    "externalId", "emailAddress", "entityId", "contactTitle", "firstName", "lastName", "fullName", "dateOfBirth",
    "customerType", "industryType", "leadSourceType", "ratingType", "MasterOptIn",
]
REQUEST = """<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Body>
<ContactList_Retrieve xmlns="{ns}"><username>{username}</username><password>{password}</password><siteId>{site}</siteId>
<lastUpdateDate>1900-01-01T00:00:00</lastUpdateDate><recordStart>{start}</recordStart><moreRecords>false</moreRecords>
</ContactList_Retrieve></soap:Body></soap:Envelope>"""


def part(record, path, selector, value, leaf):
    for item in record.iterfind(path):
        if item.findtext(NS + selector) == value:
            return item.findtext(NS + leaf)
    return None


def row(record):
    phones = f"{NS}phoneNos/{NS}PhoneNo"
    addresses = f"{NS}addresses/{NS}Address"
    fields = f"{NS}crmForms/{NS}CrmForms/{NS}crmFormFields/{NS}CrmFormFields"
    values = [record.findtext(NS + name) for name in PLAIN]
    values += [part(record, phones, "phoneNoTypeID", kind, "phoneNo") for kind in ("1", "5")]
    values += [
        part(record, addresses, "addressTypeID", "1", leaf)
        for leaf in ("addressLine1", "city", "zipcode", "countryCode")
    ]
    values += [part(record, fields, "fieldName", name, "fieldValue") for name in ("Company Name", "Notes")]
    return values


def main(endpoint, site, username, password, database):
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    columns = (
        "customer_no, email, crm_id, title, first_name, last_name, full_name, born_on, customer_type, industry, "
        "lead_source, rating, opted_in, home_phone, mobile, home_line_1, home_city, home_postcode, home_country, company, "
        "notes"
    )
    connection.execute(f"CREATE TABLE contacts ({columns})")
    places = ", ".join("?" * 21)
    session = requests.Session()
    session.trust_env = False
    session.headers["Content-Type"] = "application/soap+xml; charset=utf-8"
    start, more = 0, True
    while more:
        body = REQUEST.format(
            ns=NS[1:-1], username=escape(username), password=escape(password), site=site, start=start
        )
        answer = session.post(endpoint, data=body.encode(), timeout=60)
        answer.raise_for_status()
        tree = etree.fromstring(answer.content, etree.XMLParser(resolve_entities=False))
        rows = [row(record) for record in tree.iter(NS + "ContactRecord")]
        with connection:
            connection.executemany(f"INSERT INTO contacts VALUES ({places})", rows)
        start += len(rows)
        more = bool(rows) and next(tree.iter(NS + "moreRecords")).text == "true"
    print(start)


if __name__ == "__main__":
    main(*sys.argv[1:])
