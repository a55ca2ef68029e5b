"""What proves the service: unit, contract, integration, acceptance, fault, browser and architecture tests."""
