//! ContactList (SOAP, Business Catalyst).
