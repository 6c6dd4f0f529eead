"""Invented people and documents for demonstration data, with reserved addresses (RFC 2606)."""

FIRST_NAMES = (
    "Anna", "Birkir", "Camille", "Dagny", "Einar", "Freyja", "Gunnar", "Hildur", "Ingvar", "Jonas",
    "Katla", "Lucie", "Magnus", "Nora", "Olivier", "Petra", "Ragnar", "Salka", "Thor", "Unnur",
)  # fmt: skip
LAST_NAMES = (
    "Demo", "Sample", "Placeholder", "Specimen", "Testdottir", "Testsson", "Exemple", "Fictive",
    "Example", "Mustermann",
)  # fmt: skip
DOCUMENT_KINDS = (
    "Employment contract", "Lease agreement", "Non-disclosure agreement", "Loan application", "Board minutes",
    "Purchase order", "Power of attorney", "Service agreement", "Consent form", "Insurance policy",
)  # fmt: skip
USER_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36",
)
