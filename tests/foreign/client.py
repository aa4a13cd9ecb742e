"""Drives every operation of a ContactList service with zeep, on both ports of the service description that it serves.

    client.py URL EXPECTED.json

EXPECTED.json says what must come back: {"login": {...}, "token": {...}, "people": [record, ...]} with the people in the
order of the list, each as a mapping from element names to values (absent and empty both null). Exits 0 when everything
agreed; otherwise the exception says what didn't.
"""

import datetime
import json
import sys

import zeep
from zeep.cache import InMemoryCache
from zeep.helpers import serialize_object
from zeep.transports import Transport

SERVICE = "CatalystCRMWebservice"
PORTS = ("CatalystCRMWebserviceSoap", "CatalystCRMWebserviceSoap12")
BEGINNING = datetime.datetime(2000, 1, 1)
YEAR_ONE = datetime.datetime(1, 1, 1)
LISTS = {
    "relationships": "Relationship",
    "addresses": "Address",
    "phoneNos": "PhoneNo",
    "crmForms": "CrmForms",
    "crmFormFields": "CrmFormFields",
}


def plain(value):
    """A zeep value as JSON has it: dates as text, wrappers of lists gone, empty texts as null."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in unwrapped(value).items()}
    if isinstance(value, list):
        items = [plain(inner) for inner in value]
        # zeep makes an object without anything of a nil item; a real one has its type's number.
        return [None if all(part is None for part in item.values()) else item for item in items]
    if isinstance(value, datetime.datetime):
        assert value.tzinfo is None, "a date without offset"
        return value.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return None if value == "" else value


def unwrapped(record):
    """The record with its lists in place of the elements around them."""
    return {
        key: (inner[LISTS[key]] if key in LISTS and inner is not None else inner)
        for key, inner in record.items()
    }


def drive(client, port, expected):
    service = client.bind(SERVICE, port)
    factory = client.type_factory("http://tempuri.org/CatalystDeveloperService/CatalystCRMWebservice")
    login, people = expected["login"], expected["people"]

    def fails(sentence, call, **arguments):
        try:
            call(**arguments)
        except zeep.exceptions.Fault as fault:
            assert sentence in fault.message, fault.message
        else:
            raise AssertionError(f"no fault that says {sentence}")

    # The list, page by page, field by field.
    found, start, more = [], 0, True
    while more:
        page = service.ContactList_Retrieve(
            **login, lastUpdateDate=BEGINNING, recordStart=start, moreRecords=False
        )
        assert page.recordStart == start
        records = page.ContactList_RetrieveResult.ContactRecord
        found += [plain(serialize_object(record, dict)) for record in records]
        start, more = start + 100, page.moreRecords
    assert len(found) == len(people), (len(found), len(people))
    for have, want in zip(found, people):
        assert have == want, f"contact {want['entityId']}: " + ", ".join(
            f"{key}: {have[key]!r} != {want[key]!r}" for key in want if have.get(key) != want[key]
        )

    # Nothing new, and a date that is no problem.
    late = service.ContactList_Retrieve(
        **login, lastUpdateDate=datetime.datetime(2030, 1, 1), recordStart=0, moreRecords=True
    )
    assert not late.moreRecords
    assert not late.ContactList_RetrieveResult or not late.ContactList_RetrieveResult.ContactRecord

    # The site token, and credentials that are wrong.
    token = service.ContactList_Retrieve(
        **expected["token"], lastUpdateDate=BEGINNING, recordStart=0, moreRecords=False
    )
    assert len(token.ContactList_RetrieveResult.ContactRecord) == min(100, len(people))
    wrong = {**login, "password": "wrong"}
    fails("ERROR: Authentication failed.", service.Contact_RetrieveByEntityID, **wrong, entityId=1)

    # Two contacts, made and changed.
    def contact(**fields):
        return factory.ContactRecord(
            **{
                "entityId": -1,
                "deleted": False,
                "dateOfBirth": YEAR_ONE,
                "createDate": YEAR_ONE,
                "lastUpdateDate": YEAR_ONE,
                "MasterOptIn": True,
                **fields,
            }
        )

    def push(*contacts):
        answer = service.ContactList_UpdateInsert(
            **login, contactsList=factory.ArrayOfContactRecord(ContactRecord=list(contacts))
        )
        assert answer is None, answer

    keys = f"{port}-1", f"{port}-2"
    address = f"{port}.1@example.org".lower()
    home = factory.ArrayOfAddress(
        Address=[factory.Address(addressTypeID=1, addressLine1="1 <High> St & co", city="Łódź", countryCode="PL")]
    )
    phones = factory.ArrayOfPhoneNo(
        PhoneNo=[
            factory.PhoneNo(phoneNoTypeID=7, phoneNo=address),
            factory.PhoneNo(phoneNoTypeID=5, phoneNo="+48 500 000 000"),
        ]
    )
    field = factory.CrmFormFields(fieldId=1, fieldTypeId=1, fieldName="Company Name", fieldValue="Ładna & Synowie")
    form = factory.CrmForms(
        formId=542957, formName="Membership", crmFormFields=factory.ArrayOfCrmFormFields(CrmFormFields=[field])
    )
    push(
        contact(
            externalId=keys[0],
            emailAddress=address,
            firstName="  Zoe\u0308 ",
            lastName="<b>&amp;</b> \"O'Neil\" ]]>",
            dateOfBirth=datetime.datetime(1980, 2, 29),
            addresses=home,
            phoneNos=phones,
            crmForms=factory.ArrayOfCrmForms(CrmForms=[form]),
        ),
        contact(externalId=keys[1], firstName="Second"),
    )
    made = service.Contact_RetrieveByExternalID(**login, externalId=keys[0])
    assert made.entityId > 0 and made.firstName == "  Zoe\u0308 ", made.firstName
    assert made.lastName == "<b>&amp;</b> \"O'Neil\" ]]>", made.lastName
    assert made.dateOfBirth == datetime.datetime(1980, 2, 29) and made.MasterOptIn and not made.deleted
    assert made.password is None
    assert made.addresses.Address[0].addressLine1 == "1 <High> St & co"
    assert made.addresses.Address[0].addressLine2 is None
    assert [phone.phoneNo for phone in made.phoneNos.PhoneNo] == [address, "+48 500 000 000"]
    assert made.crmForms.CrmForms[0].crmFormFields.CrmFormFields[0].fieldValue == "Ładna & Synowie"
    push(contact(externalId=keys[0], lastName="", MasterOptIn=False, contactTitle="Dr"))
    by_id = service.Contact_RetrieveByEntityID(**login, entityId=made.entityId)
    by_email = service.Contact_RetrieveByEmailAddress(**login, emailAddress=address.upper())
    assert plain(serialize_object(by_id, dict)) == plain(serialize_object(by_email, dict))
    assert not by_id.lastName and by_id.contactTitle == "Dr" and not by_id.MasterOptIn
    assert by_id.firstName == "  Zoe\u0308 " and len(by_id.phoneNos.PhoneNo) == 2

    # Gone again.
    assert service.Contact_DeleteByEmailAddress(**login, email=address) is True
    assert service.Contact_DeleteByEmailAddress(**login, email=address) is False
    second = service.Contact_RetrieveByExternalID(**login, externalId=keys[1]).entityId
    assert service.Contact_DeleteByEntityID(**login, entityId=second) is True
    assert service.Contact_DeleteByEntityID(**login, entityId=999999) is False
    unknown = "ERROR: Contact record could not be retrieved."
    fails(unknown, service.Contact_RetrieveByEntityID, **login, entityId=999999)
    fails(unknown, service.Contact_RetrieveByExternalID, **login, externalId="nobody")
    fails(unknown, service.Contact_RetrieveByEmailAddress, **login, emailAddress="nobody@example.org")


def main():
    url, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        expected = json.load(file)
    client = zeep.Client(f"{url}?WSDL", transport=Transport(cache=InMemoryCache(), timeout=60))
    ports = client.wsdl.services[SERVICE].ports
    assert set(ports) == set(PORTS), list(ports)
    for port in PORTS:
        assert ports[port].binding_options["address"] == url
        drive(client, port, expected)
        # What this port made is out of the list again (the service lets deleted contacts vanish).
    print(f"{len(expected['people'])} people agreed on {len(PORTS)} ports with zeep {zeep.__version__}")


if __name__ == "__main__":
    main()
